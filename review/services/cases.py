"""What people do with a case: claim it, read it, decide it once, or give it back.

Every function is one transaction: check, conditional change, event. What time does is in
deadlines.py.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from audit import payloads
from audit.actors import SYSTEM, Actor
from review import rules
from review.errors import (
    AlreadyClaimed,
    CandidateChanged,
    CaseEnded,
    ClaimLost,
    LeaseCapped,
    ReasonMissing,
    TooManyClaims,
)
from review.models import Case, CaseVerdict
from review.services.transitions import UNCLAIMED, lose_lease, move, record, refuse
from routing.models import Hold
from routing.services import holds
from screens.access import may, require
from screens.errors import Invalid, NotFound

Kind = CaseVerdict.Kind


def get_case(case_id: uuid.UUID) -> Case:
    """The case as it is now, with its holder and its hold. Raises NotFound."""
    case = Case.objects.select_related("claimed_by", "hold").filter(pk=case_id).first()
    if case is None:
        raise NotFound("There is no such case.", what_next="Start from the review queue.")
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
        record("review.opened", case, SYSTEM("router"), due_at=case.due_at)
    return case


def _check_claims(by: User) -> None:
    # The lock makes two claims of one person wait for each other; without it both would count
    # before either claimed.
    User.objects.select_for_update(no_key=True).get(pk=by.pk)
    if Case.objects.filter(claimed_by=by, state=Case.State.CLAIMED).count() >= rules.MOST_CLAIMS:
        raise TooManyClaims


def _claim(case: Case, by: User, now: datetime) -> Case:
    lease_expires_at = now + timedelta(seconds=rules.LEASE_S)
    if not move(case, "claim", claimed_by=by, claimed_at=now, lease_expires_at=lease_expires_at):
        refuse(case)
    record("review.claimed", case, Actor.of(by), lease_expires_at=lease_expires_at)
    return case


@transaction.atomic
def claim_next(*, by: User) -> Case | None:
    """Claim the first case by priority class, deadline and id; None when nothing waits."""
    require(by, "review.decide")
    _check_claims(by)
    now = timezone.now()
    case = (
        Case.objects.select_for_update(skip_locked=True)
        .filter(state=Case.State.PENDING, due_at__gt=now)
        .order_by("priority", "due_at", "id")
        .first()
    )
    return _claim(case, by, now) if case else None


@transaction.atomic
def claim_case(*, case: Case, by: User) -> Case:
    """Claim one particular case; claiming one's own again changes nothing."""
    require(by, "review.decide")
    now = timezone.now()
    if case.is_held_by(by, now):
        return case
    if case.has_ended:
        raise CaseEnded(case.ending)
    if case.due_at <= now:
        raise CaseEnded("its time has passed.")
    _check_claims(by)
    if case.lease_is_over(now):
        # The sweeper comes every ten seconds; a person need not wait for it.
        lose_lease(case)
    return _claim(case, by, now)


def _require_holder(case: Case, by: User) -> None:
    if case.has_ended:
        raise CaseEnded(case.ending)
    if case.state == Case.State.CLAIMED and case.claimed_by_id != by.pk:
        raise AlreadyClaimed(str(case.claimed_by))
    if not case.is_held_by(by, timezone.now()):
        raise ClaimLost


@transaction.atomic
def extend_lease(*, case: Case, by: User) -> Case:
    """Give the holder ten more minutes, never over half an hour in all (then: LeaseCapped)."""
    require(by, "review.decide")
    _require_holder(case, by)
    assert case.claimed_at is not None and case.lease_expires_at is not None  # noqa: S101
    ends = datetime.fromtimestamp(
        rules.lease_end_s(claimed_s=case.claimed_at.timestamp(), now_s=timezone.now().timestamp()),
        tz=UTC,
    )
    if ends <= case.lease_expires_at:
        raise LeaseCapped
    if not move(case, "extend", held_by=by, lease_expires_at=ends):
        refuse(case)
    record("review.extended", case, Actor.of(by), lease_expires_at=ends)
    return case


@transaction.atomic
def release_case(*, case: Case, by: User, reason: str = "") -> Case:
    """Give a case back to the queue. A lead may do it for somebody else, with a reason."""
    holder = case.claimed_by
    if holder != by and may(by, "review.lead") and case.state == Case.State.CLAIMED:
        if not reason.strip():
            raise Invalid(
                f"Say why you take the case from {holder}; it is kept in the audit trail.",
                code="reason_missing",
            )
    else:
        _require_holder(case, by)
    if not move(case, "release", held_by=holder, **UNCLAIMED):
        refuse(case)
    record("review.released", case, Actor.of(by), reason=reason, holder=str(holder))
    return case


@transaction.atomic
def reveal_payloads(*, case: Case, by: User) -> dict[str, str]:
    """Return the texts of a case to its holder; the reading itself is recorded first.

    Keys: ``request`` (JSON text) and, when there is one, ``candidate`` with ``candidate_id``, which
    an approval must name.
    """
    require(by, "review.decide")
    _require_holder(case, by)
    hold = _hold_of(case)
    texts = {"request": payloads.open_payload(hold.request_payload).decode()}
    if hold.candidate_payload:
        texts["candidate"] = payloads.open_payload(hold.candidate_payload).decode()
    record("review.revealed", case, Actor.of(by), read=sorted(texts))
    if hold.candidate_payload:
        texts["candidate_id"] = str(hold.candidate_payload)
    return texts


def _hold_of(case: Case) -> Hold:
    if case.hold is None:
        raise Invalid("Nothing is held behind this case.", code="no_hold")
    return case.hold


def _candidate(hold: Hold, kind: str, seen: uuid.UUID | None) -> str:
    """The draft answer's text. An approval releases only what its reviewer has read."""
    if kind == Kind.APPROVE:
        if hold.candidate_payload is None:
            raise Invalid(
                "There is no answer to approve.",
                code="answer_missing",
                what_next="Write one, give the safe default, or refuse.",
            )
        if hold.candidate_payload != seen:
            raise CandidateChanged
    if hold.candidate_payload is None or kind not in {Kind.APPROVE, Kind.EDIT}:
        return ""
    return payloads.open_payload(hold.candidate_payload).decode()


def _check_reason(kind: str, reason_code: str, reason: str) -> None:
    if kind not in Kind.values:
        raise Invalid("There is no such decision.", code="unknown_verdict")
    if reason_code and reason_code not in CaseVerdict.Reason.values:
        raise ReasonMissing("There is no such reason code.")
    if kind != Kind.APPROVE and not (reason_code and reason.strip()):
        raise ReasonMissing


def _check_answer(kind: str, answer: str, candidate: str) -> None:
    if kind == Kind.EDIT and not answer.strip():
        raise Invalid("Write the answer that the client gets.", code="answer_missing")
    if kind == Kind.EDIT and answer == candidate:
        raise Invalid("You changed nothing; approve it instead.", code="nothing_changed")


@transaction.atomic
def decide_case(
    *,
    case: Case,
    by: User,
    kind: str,
    reason_code: str = "",
    reason: str = "",
    answer: str = "",
    candidate_id: uuid.UUID | None = None,
) -> Case:
    """Decide a claimed case once; the waiting client gets the answer in its open call.

    ``kind`` is approve (with the ``candidate_id`` that was read), edit (with ``answer``),
    safe_default or refuse. All but a plain approval need a reason code and a reason. Raises
    HoldClosed when time was first; then nothing has changed.
    """
    require(by, "review.decide")
    _require_holder(case, by)
    _check_reason(kind, reason_code, reason)
    hold = _hold_of(case)
    candidate = _candidate(hold, kind, candidate_id)
    text = candidate if kind == Kind.APPROVE else answer.replace("\r\n", "\n")
    _check_answer(kind, text, candidate)
    payload = None
    if kind in {Kind.APPROVE, Kind.EDIT}:
        payload = payloads.seal(
            text.encode(),
            decision_id=case.decision_id,
            kind="answer",
            key=payloads.payload_key(),
        )
    claimed_at, now = case.claimed_at or timezone.now(), timezone.now()
    if not move(case, "resolve", held_by=by, ended_at=now):
        refuse(case)
    CaseVerdict.objects.create(
        case=case,
        by=by,
        kind=kind,
        reason_code=reason_code,
        reason=reason.strip(),
        level=case.level,
    )
    holds.answer_hold(
        decision_id=case.decision_id, disposition=rules.disposition_of(kind), payload=payload
    )
    record(
        "review.decided",
        case,
        Actor.of(by),
        reason=reason,
        verdict=kind,
        reason_code=reason_code,
        candidate_backend=hold.candidate_backend,
        changed_permille=round(1000 * rules.share_changed(candidate, text)) if payload else None,
        commitment=payload.commitment if payload else None,
        open_ms=round((now - claimed_at).total_seconds() * 1000),
    )
    return case
