"""What can go wrong in the audit room.

AuditError (a DomainError: the answer to a person is no)
  AlreadyRecorded    the decision has this event, or another terminal one, already
  PayloadGone        the payload was erased, or was never kept
  LogBusy            a verification or report is already running
LedgerFault (a defect or an attack; never shown as a form error)
  OutsideTransaction record() was called where a rollback could not take it back
  UnknownKind        the kind is not in audit.events.KINDS
  EntryTooLarge      the body is over 64 KiB
  UnfitValue         a value has no canonical form (a float, a number above 2^53, a lone surrogate)
  ForkRefused        the database is older than, or differs from, a checkpoint held outside
  LedgerBroken       what is stored contradicts itself
  KeyUnavailable     the signing or payload key cannot be read
"""

from __future__ import annotations

from screens.errors import Conflict, NotFound


class AlreadyRecorded(Conflict):
    default_message = "The outcome of this decision is already recorded."
    default_code = "already_recorded"


class PayloadGone(NotFound):
    default_message = "This text was erased, or was never kept."
    default_code = "payload_gone"
    default_what_next = "The entry in the trail still proves that it existed."


class LogBusy(Conflict):
    default_message = "This is already running."
    default_code = "already_running"
    default_what_next = "Wait until it has ended, or cancel it."


class LedgerFault(RuntimeError):
    """Not a person's mistake: a defect, a broken installation or an attack."""


class OutsideTransaction(LedgerFault):
    pass


class UnknownKind(LedgerFault):
    pass


class EntryTooLarge(LedgerFault):
    pass


class UnfitValue(LedgerFault):
    pass


class ForkRefused(LedgerFault):
    pass


class LedgerBroken(LedgerFault):
    pass


class KeyUnavailable(LedgerFault):
    pass
