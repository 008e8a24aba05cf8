"""Sign-offs: two people let a public backend receive a data class, for a purpose and a period.

Nobody counts twice: the requester, the first and the second approver are three people, the
superuser included. The end of the period takes effect by the clock; recording it comes after.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

import audit
from accounts.models import User
from audit.actors import SYSTEM, Actor
from routing.models import Backend, SignOff
from routing.models.backends import Boundary
from routing.services.policies import require
from screens.errors import Conflict, Invalid, NotAllowed, NotFound

State = SignOff.State
LONGEST = timedelta(days=366)
# What has to be known of the company behind a public backend before anyone is asked.
PROCESSOR_FACTS = {
    "processor": "the processor",
    "processor_country": "its country",
    "processor_contract": "the contract",
    "processor_contact": "a contact",
    "processor_retention": "how long it keeps what it gets",
}


class SamePerson(NotAllowed):
    """Somebody who already stands on this sign-off tries to stand on it again."""

    is_recorded = True
    default_code = "same_person"
    default_what_next = "Ask another person with the role approver."


class WrongState(Conflict):
    default_code = "wrong_state"


def get_signoff(pk: int) -> SignOff:
    found = (
        SignOff.objects.select_related(
            "backend", "requested_by", "first_approver", "second_approver", "ended_by"
        )
        .filter(pk=pk)
        .first()
    )
    if found is None:
        raise NotFound("There is no such sign-off.")
    return found


def _needs_reason(reason: str) -> str:
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    return reason.strip()[:500]


def _audited(
    kind: str,
    signoff: SignOff,
    by: Actor,
    *,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    audit.record(
        kind,
        by=by,
        object_type="signoff",
        object_id=str(signoff.pk),
        reason=reason,
        before=before,
        after=after,
        details={
            "backend": signoff.backend.name,
            "data_class": signoff.data_class,
            "valid_to": signoff.valid_to.isoformat(),
            **(details or {}),
        },
    )


def _check(backend: Backend, data_class: str, valid_from: datetime, valid_to: datetime) -> None:
    if backend.boundary != Boundary.PUBLIC:
        raise Invalid(f"{backend.name} is private and needs no sign-off.")
    if data_class not in settings.DATA_CLASSES:
        raise Invalid(f"A data class is one of {', '.join(settings.DATA_CLASSES)}.")
    if data_class not in backend.data_classes:
        raise Invalid(
            f"The registry does not let {backend.name} receive {data_class} data.",
            what_next="Add the data class to the backend first, or choose another.",
        )
    missing = [words for name, words in PROCESSOR_FACTS.items() if not getattr(backend, name)]
    if missing:
        raise Invalid(
            f"Of {backend.name} it is not known: {', '.join(missing)}.",
            code="processor_unknown",
            what_next="Add it to the backend; approvers decide about a company, not an address.",
        )
    if valid_to <= valid_from or valid_to <= timezone.now():
        raise Invalid("A sign-off ends after it begins, and not in the past.")
    if valid_to - valid_from > LONGEST:
        raise Invalid("A sign-off lasts a year at most; then it is asked for again.")


@transaction.atomic
def request_signoff(
    *,
    backend: Backend,
    data_class: str,
    purpose: str,
    risk_reference: str,
    conditions: str,
    valid_from: datetime,
    valid_to: datetime,
    by: User,
) -> SignOff:
    """Ask that a public backend may receive a data class. Changes nothing until two agree."""
    require(by, "routing.operate")
    backend = Backend.objects.select_for_update().get(pk=backend.pk)
    _check(backend, data_class, valid_from, valid_to)
    if not purpose.strip() or not risk_reference.strip():
        raise Invalid("Name the purpose and the risk assessment that stands behind it.")
    try:
        with transaction.atomic():
            signoff = SignOff.objects.create(
                backend=backend,
                data_class=data_class,
                purpose=purpose.strip(),
                risk_reference=risk_reference.strip(),
                conditions=conditions.strip(),
                requested_by=by,
                valid_from=valid_from,
                valid_to=valid_to,
            )
    except IntegrityError:
        raise Conflict(
            f"The same is already asked for: {data_class} data to {backend.name} for this purpose."
        ) from None
    _audited(
        "signoff.requested",
        signoff,
        Actor.of(by),
        reason=signoff.purpose,
        after={
            "backend": backend.name,
            "data_class": data_class,
            "purpose": signoff.purpose,
            "risk_reference": signoff.risk_reference,
            "conditions": signoff.conditions,
            "valid_from": valid_from.isoformat(),
            "valid_to": valid_to.isoformat(),
            **{name: getattr(backend, name) for name in PROCESSOR_FACTS},
        },
    )
    return signoff


def why_not_approve(signoff: SignOff, by: User) -> str:
    """Why this person does not count on this sign-off, or nothing."""
    if signoff.requested_by_id == by.pk:
        return "Who asks for a sign-off may not approve it."
    if by.pk in (signoff.first_approver_id, signoff.second_approver_id):
        return "One person approves a sign-off once; the second approver is somebody else."
    return ""


def approve_signoff(*, signoff: SignOff, by: User, reason: str) -> SignOff:
    """Stand for it as first or second approver; with the second it is granted."""
    require(by, "routing.sign_off")
    reason = _needs_reason(reason)
    if why := why_not_approve(signoff, by):
        with transaction.atomic():
            _audited_denial(signoff, by, why)
        raise SamePerson(why)
    return _approve(signoff=signoff, by=by, reason=reason)


def _audited_denial(signoff: SignOff, by: User, why: str) -> None:
    audit.record(
        "access.denied",
        by=Actor.of(by),
        object_type="signoff",
        object_id=str(signoff.pk),
        result="denied",
        reason=why,
        details={"act": "approve", "why": SamePerson.default_code},
    )


@transaction.atomic
def _approve(*, signoff: SignOff, by: User, reason: str) -> SignOff:
    locked = SignOff.objects.select_for_update().get(pk=signoff.pk)
    now = timezone.now()
    if locked.state != State.REQUESTED:
        raise WrongState(f"This sign-off is already {locked.get_state_display()}.")
    if locked.valid_to <= now:
        raise WrongState("Its period has ended; ask for a new one.")
    if why := why_not_approve(locked, by):
        raise SamePerson(why)
    if locked.first_approver_id is None:
        changes: dict[str, Any] = {
            "first_approver": by,
            "first_approved_at": now,
            "first_reason": reason,
        }
        kind = "signoff.approved"
    else:
        changes = {
            "second_approver": by,
            "second_approved_at": now,
            "second_reason": reason,
            "state": State.GRANTED,
            "begin_recorded_at": now if locked.valid_from <= now else None,
        }
        kind = "signoff.granted"
    SignOff.objects.filter(pk=locked.pk).update(**changes)
    fresh = get_signoff(locked.pk)
    _audited(kind, fresh, Actor.of(by), reason=reason, after={"state": fresh.state})
    return fresh


@transaction.atomic
def refuse_signoff(*, signoff: SignOff, by: User, reason: str) -> SignOff:
    """End a request that is not granted. One approver is enough to say no."""
    require(by, "routing.sign_off")
    return _end(
        signoff, State.REQUESTED, State.REFUSED, "signoff.refused", by, _needs_reason(reason)
    )


@transaction.atomic
def revoke_signoff(*, signoff: SignOff, by: User, reason: str) -> SignOff:
    """Take a granted sign-off back: replicas follow within five seconds. One person is enough."""
    require(by, "routing.sign_off")
    return _end(signoff, State.GRANTED, State.REVOKED, "signoff.revoked", by, _needs_reason(reason))


def _end(signoff: SignOff, source: str, target: str, kind: str, by: User, reason: str) -> SignOff:
    changed = SignOff.objects.filter(pk=signoff.pk, state=source).update(
        state=target, ended_by=by, ended_at=timezone.now(), end_reason=reason
    )
    fresh = get_signoff(signoff.pk)
    if changed != 1:
        raise WrongState(f"This sign-off is {fresh.get_state_display()}; this cannot be done now.")
    _audited(
        kind, fresh, Actor.of(by), reason=reason, before={"state": source}, after={"state": target}
    )
    return fresh


@transaction.atomic
def void_signoffs(*, backend: Backend, by: User, reason: str) -> int:
    """End every standing or open sign-off of a backend that is no longer the one people judged."""
    standing = SignOff.objects.select_for_update().filter(
        backend=backend, state__in=(State.REQUESTED, State.GRANTED)
    )
    ended = 0
    for signoff in standing:
        is_open = signoff.state == State.REQUESTED
        _end(
            signoff,
            signoff.state,
            State.REFUSED if is_open else State.REVOKED,
            "signoff.refused" if is_open else "signoff.revoked",
            by,
            f"The backend was changed: {reason}"[:500],
        )
        ended += 1
    return ended


def record_clock() -> int:
    """Say once in the trail which sign-offs began and which expired; return how many.

    Replicas hold the end of each sign-off and need nobody to tell them. A beginning has to reach
    their snapshot, which the update does by raising the revision.
    """
    now, told = timezone.now(), 0
    due = SignOff.objects.filter(state=State.GRANTED)
    for pk in due.filter(expiry_recorded_at__isnull=True, valid_to__lte=now).values_list("pk"):
        told += _record_once(pk[0], "expiry_recorded_at", "signoff.expired", now)
    begun = due.filter(begin_recorded_at__isnull=True, valid_from__lte=now, valid_to__gt=now)
    for pk in begun.values_list("pk"):
        told += _record_once(pk[0], "begin_recorded_at", "signoff.began", now)
    return told


@transaction.atomic
def _record_once(pk: int, field: str, kind: str, now: datetime) -> int:
    claimed = SignOff.objects.filter(
        pk=pk, state=State.GRANTED, **{f"{field}__isnull": True}
    ).update(**{field: now})
    if claimed:
        _audited(kind, get_signoff(pk), SYSTEM("clock"))
    return claimed
