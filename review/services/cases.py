"""The life of a case: opened on a hold, claimed, decided once, or ended by time.

Every transition is one transaction: a conditional update on id, version and state, then the event.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

import audit
from accounts.models import User
from audit import payloads
from audit.actors import SYSTEM, Actor
from review import rules
from review.errors import AlreadyClaimed, CaseEnded, ClaimLost, ReasonMissing, TooManyClaims
from review.models import Case, CaseVerdict
from routing.models import Hold
from routing.services import holds
from screens.access import may
from screens.errors import Invalid, NotAllowed, NotFound


def _require(by: User, permission: str) -> None:
    if not may(by, permission):
        raise NotAllowed


def _record(kind: str, case: Case, by: Actor, *, reason: str = "", **details: Any) -> None:
    audit.record(
        kind,
        by=by,
        object_type="case",
        object_id=str(case.pk),
        reason=reason,
        decision_id=case.decision_id,
        details={
            "route": case.route,
            "rule": case.rule,
            "queue": case.queue,
            "data_class": case.data_class,
            "version": case.version,
            **details,
        },
    )


def _move(case: Case, transition: str, *, extra: Q | None = None, **changes: Any) -> bool:
    """Make a transition if the case is still as it was seen. Returns whether it was."""
    where = Q(pk=case.pk, version=case.version, state__in=rules.sources_of(transition))
    if extra is not None:
        where &= extra
    changed = Case.objects.filter(where).update(
        state=rules.target_of(transition), version=F("version") + 1, **changes
    )
    case.refresh_from_db()
    return changed == 1


def get_case(case_id: uuid.UUID) -> Case:
    case = Case.objects.select_related("claimed_by", "hold").filter(pk=case_id).first()
    if case is None:
        raise NotFound("There is no such case.")
    return case


@transaction.atomic
def open_case(*, decision_id: uuid.UUID) -> Case | None:
    """Open the case of a hold; safe to run twice, and for a hold that has ended (then: None)."""
    hold = Hold.objects.select_for_update().filter(pk=decision_id).first()
    if hold is None or hold.state != Hold.State.WAITING:
        return None
    case, is_new = Case.objects.get_or_create(
        hold=hold,
        defaults={
            "decision_id": hold.decision_id,
            "route": hold.route,
            "policy": hold.policy,
            "rule": hold.rule,
            "queue": hold.queue,
            "data_class": hold.data_class,
            "client": hold.client,
            "why": hold.sentence,
            "priority": Case.Priority.LIVE,
            "opened_at": hold.opened_at,
            "due_at": hold.deadline_at,
        },
    )
    if is_new:
        _record("review.opened", case, SYSTEM("router"), due_at=case.due_at.isoformat())
    return case


def _check_claims(by: User) -> None:
    if Case.objects.filter(claimed_by=by, state=Case.State.CLAIMED).count() >= rules.MOST_CLAIMS:
        raise TooManyClaims


def _claim(case: Case, by: User) -> Case:
    now = timezone.now()
    if not _move(
        case,
        "claim",
        claimed_by=by,
        claimed_at=now,
        lease_expires_at=now + timedelta(seconds=rules.LEASE_S),
    ):
        _raise_why(case)
    _record("review.claimed", case, Actor.of(by), lease_expires_at=case.lease_expires_at.isoformat())
    return case


def _raise_why(case: Case) -> None:
    if case.state in rules.ENDS:
        raise CaseEnded(case.get_state_display())
    if case.claimed_by is not None:
        raise AlreadyClaimed(str(case.claimed_by))
    raise ClaimLost


@transaction.atomic
def claim_next(*, by: User) -> Case | None:
    """Claim the first case by priority class, deadline and id; None when nothing waits."""
    _require(by, "review.decide")
    _check_claims(by)
    case = (
        Case.objects.select_for_update(skip_locked=True)
        .filter(state=Case.State.PENDING, due_at__gt=timezone.now())
        .order_by("priority", "due_at", "id")
        .first()
    )
    return _claim(case, by) if case else None


@transaction.atomic
def claim_case(*, case: Case, by: User) -> Case:
    """Claim one particular case."""
    _require(by, "review.decide")
    if case.claimed_by_id == by.pk and case.state == Case.State.CLAIMED:
        return case
    _check_claims(by)
    return _claim(case, by)


def _require_holder(case: Case, by: User) -> None:
    if case.state in rules.ENDS:
        raise CaseEnded(case.get_state_display())
    if case.state != Case.State.CLAIMED or case.claimed_by_id != by.pk:
        if case.claimed_by is not None and case.claimed_by_id != by.pk:
            raise AlreadyClaimed(str(case.claimed_by))
        raise ClaimLost
    if case.lease_expires_at is None or case.lease_expires_at <= timezone.now():
        raise ClaimLost


@transaction.atomic
def extend_lease(*, case: Case, by: User) -> Case:
    """Give the holder ten more minutes, never over half an hour in all."""
    _require_holder(case, by)
    assert case.claimed_at is not None
    ends = rules.lease_end_s(
        claimed_s=case.claimed_at.timestamp(), now_s=timezone.now().timestamp()
    )
    changed = Case.objects.filter(pk=case.pk, version=case.version, state=Case.State.CLAIMED).update(
        lease_expires_at=datetime.fromtimestamp(ends, tz=case.claimed_at.tzinfo), version=F("version") + 1
    )
    case.refresh_from_db()
    if changed != 1:
        raise ClaimLost
    _record("review.extended", case, Actor.of(by))
    return case


@transaction.atomic
def release_case(*, case: Case, by: User, reason: str = "") -> Case:
    """Give a case back to the queue."""
    if not may(by, "review.lead"):
        _require_holder(case, by)
    if not _move(case, "release", claimed_by=None, claimed_at=None, lease_expires_at=None):
        _raise_why(case)
    _record("review.released", case, Actor.of(by), reason=reason)
    return case


@transaction.atomic
def reveal_payloads(*, case: Case, by: User) -> dict[str, str]:
    """Return the texts of a case to its holder; the reading itself is recorded.

    Keys: ``request`` (JSON text) and, when there is one, ``candidate``.
    """
    _require(by, "review.decide")
    _require_holder(case, by)
    assert case.hold is not None
    texts = {"request": payloads.open_payload(case.hold.request_payload).decode()}
    if case.hold.candidate_payload:
        texts["candidate"] = payloads.open_payload(case.hold.candidate_payload).decode()
    _record("review.revealed", case, Actor.of(by), read=sorted(texts))
    return texts


def _verdict_payload(case: Case, kind: str, text: str) -> payloads.SealedPayload | None:
    if kind not in {CaseVerdict.Kind.APPROVE, CaseVerdict.Kind.EDIT}:
        return None
    if not text.strip():
        raise Invalid(
            "There is no answer to release.", code="answer_missing", what_next="Write one, or give the safe default."
        )
    return payloads.seal(text.encode(), decision_id=case.decision_id, kind="answer", key=payloads.payload_key())


def _candidate(case: Case) -> str:
    assert case.hold is not None
    if not case.hold.candidate_payload:
        return ""
    return payloads.open_payload(case.hold.candidate_payload).decode()


@transaction.atomic
def decide_case(
    *, case: Case, by: User, kind: str, reason_code: str = "", reason: str = "", answer: str = ""
) -> Case:
    """Decide a claimed case once; the waiting client gets the answer in its open call.

    ``kind`` is approve, edit (with ``answer``), safe_default or refuse. All but a plain approval
    need a reason code and a reason. Raises HoldClosed when time was first.
    """
    _require(by, "review.decide")
    _require_holder(case, by)
    if kind not in CaseVerdict.Kind.values:
        raise Invalid("There is no such decision.")
    if kind != CaseVerdict.Kind.APPROVE and (
        reason_code not in CaseVerdict.Reason.values or not reason.strip()
    ):
        raise ReasonMissing
    candidate = _candidate(case)
    text = candidate if kind == CaseVerdict.Kind.APPROVE else answer.replace("\r\n", "\n")
    payload = _verdict_payload(case, kind, text)
    if not _move(case, "resolve", ended_at=timezone.now(), extra=Q(claimed_by=by)):
        _raise_why(case)
    CaseVerdict.objects.create(
        case=case, by=by, kind=kind, reason_code=reason_code, reason=reason.strip(), level=case.level
    )
    holds.answer_hold(
        decision_id=case.decision_id, disposition=rules.disposition_of(kind), payload=payload
    )
    assert case.claimed_at is not None
    _record(
        "review.decided",
        case,
        Actor.of(by),
        reason=reason.strip(),
        verdict=kind,
        reason_code=reason_code,
        candidate_backend=case.hold.candidate_backend if case.hold else "",
        changed_permille=round(1000 * rules.share_changed(candidate, text)) if payload else None,
        commitment=payload.commitment if payload else None,
        open_ms=round((timezone.now() - case.claimed_at).total_seconds() * 1000),
    )
    return case


@transaction.atomic
def _expire(case: Case) -> bool:
    if not _move(case, "expire", ended_at=timezone.now()):
        return False
    if case.hold is not None and case.hold.state == Hold.State.WAITING:
        holds.expire_hold(decision_id=case.decision_id)
        case.hold.refresh_from_db()
    _record(
        "review.expired",
        case,
        SYSTEM("sweeper"),
        disposition=case.hold.on_timeout if case.hold else None,
    )
    return True


@transaction.atomic
def _lose_lease(case: Case) -> bool:
    holder = case.claimed_by
    losses = case.lease_losses + 1
    if not _move(
        case,
        "lose_lease",
        claimed_by=None,
        claimed_at=None,
        lease_expires_at=None,
        lease_losses=losses,
        level=rules.level_after_losses(level=case.level, losses=losses),
    ):
        return False
    _record("review.lease_lost", case, SYSTEM("sweeper"), holder=str(holder), losses=losses)
    return True


def _holds_without_case() -> Iterable[uuid.UUID]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT h.decision_id FROM routing_hold h
            LEFT JOIN review_case c ON c.hold_id = h.decision_id
            WHERE h.state = 'waiting' AND c.id IS NULL
            """
        )
        return [decision_id for (decision_id,) in cursor.fetchall()]


def sweep(*, now: datetime | None = None) -> dict[str, int]:
    """Open what was missed, end what is due, return lost leases. Safe to run late or twice."""
    now = now or timezone.now()
    done = {"opened": 0, "expired": 0, "leases_lost": 0}
    for decision_id in _holds_without_case():
        done["opened"] += open_case(decision_id=decision_id) is not None
    alive = Case.objects.select_related("hold", "claimed_by").exclude(state__in=rules.ENDS)
    # The router ends its own holds; a moment's grace keeps the two from racing for nothing.
    ended = alive.filter(Q(due_at__lt=now - timedelta(seconds=2)) | Q(hold__state=Hold.State.EXPIRED))
    for case in ended[:500]:
        done["expired"] += _expire(case)
    for case in alive.filter(state=Case.State.CLAIMED, lease_expires_at__lt=now)[:500]:
        done["leases_lost"] += _lose_lease(case)
    return done
