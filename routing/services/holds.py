"""The waiting side of review: a hold is answered once, or it expires once, whoever comes first."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from audit import payloads
from routing.models import Hold
from routing.services import webhook_outbox
from screens.errors import Conflict


class HoldClosed(Conflict):
    """The client already has an answer, or the hold has ended."""

    default_message = "This request has already been answered, or its time has passed."
    default_code = "hold_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the waiting client gets. ``text`` is set only when the disposition is an answer."""

    decision_id: uuid.UUID
    disposition: str
    state: str
    text: str
    case_id: uuid.UUID | None
    is_claimed: bool = False


def state_of(hold: Hold) -> Answer:
    text = ""
    if hold.disposition == Hold.Disposition.ANSWER and hold.answer_payload:
        text = payloads.open_payload(hold.answer_payload).decode()
    case = getattr(hold, "case", None)
    return Answer(
        decision_id=hold.decision_id,
        disposition=hold.disposition,
        state=hold.state,
        text=text,
        case_id=case.pk if case else None,
        is_claimed=case is not None and case.claimed_by_id is not None,
    )


def joined(decision_id: uuid.UUID, repeat_key: str) -> uuid.UUID:
    """The hold that this decision waits on: its own, or that of the request which it repeats."""
    found = Hold.objects.filter(
        Q(pk=decision_id) | Q(dedupe_key=repeat_key, repeats_until__isnull=False)
    )
    ids = set(found.values_list("pk", flat=True))
    if not ids:
        raise LookupError("a held decision has no hold")
    return decision_id if decision_id in ids else ids.pop()


def answer_of(decision_id: uuid.UUID) -> Answer | None:
    """Return the answer of a hold, or None while it waits."""
    hold = Hold.objects.filter(pk=decision_id).exclude(state=Hold.State.WAITING).first()
    return state_of(hold) if hold else None


def notify(decision_id: uuid.UUID) -> None:
    """Wake the replica whose client waits; the listener's poll is behind it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('signalbox_hold', %s)", [str(decision_id)])


@transaction.atomic
def answer_hold(
    *, decision_id: uuid.UUID, disposition: str, answer_payload: uuid.UUID | None = None
) -> None:
    """Give the waiting client its answer, a stored payload. Raises HoldClosed when somebody or
    time was first.
    """
    changed = Hold.objects.filter(pk=decision_id, state=Hold.State.WAITING).update(
        state=Hold.State.ANSWERED,
        disposition=disposition,
        answer_payload=answer_payload,
        answered_at=timezone.now(),
    )
    if changed != 1:
        raise HoldClosed
    webhook_outbox.tell_hold_ended(hold=Hold.objects.get(pk=decision_id))
    notify(decision_id)


@transaction.atomic
def leave_pending(*, decision_id: uuid.UUID) -> Answer:
    """The client stops waiting and the case goes on; an answer that came just now is returned."""
    hold = Hold.objects.select_for_update().get(pk=decision_id)
    if hold.state != Hold.State.WAITING:
        return state_of(hold)
    Hold.objects.filter(pk=decision_id).update(delivery=Hold.Delivery.STORED)
    hold.disposition = Hold.Disposition.PENDING
    return state_of(hold)


@transaction.atomic
def expire_hold(*, decision_id: uuid.UUID, disposition: str = "") -> Answer:
    """End a hold whose time has passed and return what its client gets: what its rule says, or
    the ``disposition`` that the class of its case has instead.
    """
    hold = Hold.objects.get(pk=decision_id)
    given = disposition or hold.on_timeout
    is_pending = given == Hold.Disposition.PENDING
    changed = Hold.objects.filter(pk=decision_id, state=Hold.State.WAITING).update(
        state=Hold.State.EXPIRED,
        disposition=Hold.Disposition.SAFE_DEFAULT if is_pending else given,
        answered_at=timezone.now(),
    )
    if changed:
        notify(decision_id)
    hold.refresh_from_db()
    webhook_outbox.tell_hold_ended(hold=hold)
    return state_of(hold)


@transaction.atomic
def store_candidate(
    *, decision_id: uuid.UUID, payload: payloads.SealedPayload, backend: str
) -> None:
    payloads.store(payload)
    Hold.objects.filter(pk=decision_id).update(
        candidate_payload=payload.id, candidate_backend=backend, candidate_state="ready"
    )


def note_no_candidate(*, decision_id: uuid.UUID) -> None:
    Hold.objects.filter(pk=decision_id).update(candidate_state="failed")


def note_delivery(decision_id: uuid.UUID, delivery: str) -> None:
    """Delivery is apart from the decision: it never depends on the client being there."""
    Hold.objects.filter(pk=decision_id).update(delivery=delivery)
