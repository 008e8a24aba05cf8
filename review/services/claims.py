"""What people do to hold a case: take it, keep it, show a sign of life, give it back, raise it.

Every function is one transaction: check, conditional change, event. ``now`` is for tests.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from audit.actors import Actor
from review import rules
from review.errors import (
    AlreadyClaimed,
    CaseEnded,
    ClaimLost,
    LeaseCapped,
    NotFirst,
    NotForYou,
    ReasonMissing,
    TooManyClaims,
)
from review.models import Case, CaseVerdict
from review.queries import eligible
from review.services.pace import check_pace
from review.services.sealing import untold_first
from review.services.transitions import UNCLAIMED, lose_lease, move, record, refuse
from routing.services import holds
from screens.access import may, require
from screens.errors import Conflict, Invalid


def _check_claims(by: User, now: datetime) -> None:
    # The lock makes two claims of one person wait for each other; without it both would count
    # before either claimed.
    User.objects.select_for_update(no_key=True).get(pk=by.pk)
    if Case.objects.filter(claimed_by=by, state=Case.State.CLAIMED).count() >= rules.MOST_CLAIMS:
        raise TooManyClaims
    check_pace(by, now)


def _claim(case: Case, by: User, now: datetime) -> Case:
    lease_expires_at = now + timedelta(seconds=rules.LEASE_S)
    if not move(
        case,
        "claim",
        claimed_by=by,
        claimed_at=now,
        heartbeat_at=now,
        lease_expires_at=lease_expires_at,
        release_from=None,
        shown_candidate=None,
    ):
        refuse(case)
    record("review.claimed", case, Actor.of(by), lease_expires_at=lease_expires_at)
    return case


@transaction.atomic
def claim_next(*, by: User, now: datetime | None = None) -> Case | None:
    """Claim the first case by class, deadline and id that this person may take, or None."""
    require(by, "review.decide")
    now = now or timezone.now()
    _check_claims(by, now)
    case = eligible.takeable(by, now).select_for_update(skip_locked=True, of=("self",)).first()
    return _claim(case, by, now) if case else None


@transaction.atomic
def claim_case(*, case: Case, by: User, now: datetime | None = None) -> Case:
    """Claim one particular case; claiming one's own again changes nothing.

    Leads choose freely; others may take the one that is theirs next (else: NotFirst).
    """
    require(by, "review.decide")
    now = now or timezone.now()
    if case.is_held_by(by, now):
        return case
    if case.has_ended:
        raise CaseEnded(case.ending)
    if case.due_at <= now:
        raise CaseEnded("its time has passed.")
    if case.state == Case.State.REPLAYING:
        refuse(case)
    if reason := eligible.why_not(case, by):
        raise NotForYou(reason)
    _check_claims(by, now)
    if case.lease_is_over(now):
        # The sweeper comes every ten seconds; a person need not wait for it.
        lose_lease(case)
        if case.level >= rules.LEAD_LEVEL and not may(by, "review.lead"):
            # Refused, and so is the lost claim undone with it; the sweeper raises it for good.
            raise NotForYou("level")
    if case.state in rules.WAITING and not may(by, "review.lead"):
        first = eligible.takeable(by, now).first()
        if first is not None and first.pk != case.pk:
            raise NotFirst
    return _claim(case, by, now)


def require_holder(case: Case, by: User, now: datetime) -> None:
    """Raise what is true of the case when this person does not hold it."""
    if case.has_ended:
        raise CaseEnded(case.ending)
    if case.state == Case.State.CLAIMED and case.claimed_by_id != by.pk:
        raise AlreadyClaimed(str(case.claimed_by))
    if not case.is_held_by(by, now):
        raise ClaimLost


@transaction.atomic
def extend_lease(*, case: Case, by: User, now: datetime | None = None) -> Case:
    """Give the holder ten more minutes, never over half an hour in all (then: LeaseCapped)."""
    require(by, "review.decide")
    now = now or timezone.now()
    require_holder(case, by, now)
    assert case.claimed_at is not None and case.lease_expires_at is not None  # noqa: S101
    ends = datetime.fromtimestamp(
        rules.lease_end_s(claimed_s=case.claimed_at.timestamp(), now_s=now.timestamp()), tz=UTC
    )
    if ends <= case.lease_expires_at:
        raise LeaseCapped
    if not move(case, "extend", held_by=by, lease_expires_at=ends):
        refuse(case)
    record("review.extended", case, Actor.of(by), lease_expires_at=ends)
    return case


def beat(*, case: Case, by: User, now: datetime | None = None) -> Case:
    """Note that the holder's page is open. Neither a beat nor a missed one changes the lease."""
    require(by, "review.decide")
    now = now or timezone.now()
    require_holder(case, by, now)
    Case.objects.filter(
        pk=case.pk, state=Case.State.CLAIMED, claimed_by=by, lease_expires_at__gt=now
    ).update(heartbeat_at=now)
    case.refresh_from_db()
    return case


@transaction.atomic
def release_case(*, case: Case, by: User, reason: str = "", now: datetime | None = None) -> Case:
    """Give a case back to the queue. A lead may do it for somebody else, with a reason."""
    holder = case.claimed_by
    if holder != by and may(by, "review.lead") and case.state == Case.State.CLAIMED:
        if not reason.strip():
            raise Invalid(
                f"Say why you take the case from {holder}; it is kept in the audit trail.",
                code="reason_missing",
            )
    else:
        require_holder(case, by, now or timezone.now())
    if not move(case, rules.released_by(case.stage), held_by=holder, **UNCLAIMED):
        refuse(case)
    record("review.released", case, Actor.of(by), reason=reason, holder=str(holder))
    return case


@transaction.atomic
def escalate_case(
    *, case: Case, by: User, reason_code: str, reason: str, now: datetime | None = None
) -> Case:
    """Raise a claimed case to the lead reviewers, who are told why. Its deadline stays."""
    require(by, "review.decide")
    require_holder(case, by, now or timezone.now())
    check_reason(reason_code, reason)
    if case.stage != Case.Stage.FIRST:
        raise Conflict(
            "A second look ends with a verdict.",
            code="not_escalated",
            what_next="Decide as you see it: where the two differ, a lead settles it.",
        )
    if case.level >= rules.LEAD_LEVEL:
        raise Conflict(
            "This case is with the lead reviewers already.",
            code="highest_level",
            what_next="Decide it, or give it back for another lead.",
        )
    level = rules.next_level(case.level)
    if not move(case, "escalate", held_by=by, level=level, **UNCLAIMED):
        refuse(case)
    record("review.escalated", case, Actor.of(by), reason=reason, reason_code=reason_code)
    return case


@transaction.atomic
def supersede_case(*, case: Case, by: User, reason: str) -> Case:
    """A lead ends a case whose policy or target is gone; its client gets what time would give."""
    require(by, "review.lead")
    if not reason.strip():
        raise Invalid("Say why; it is kept in the audit trail.", code="reason_missing")
    if case.has_ended:
        raise CaseEnded(case.ending)
    untold = untold_first(case)
    if not move(case, "supersede", ended_at=timezone.now(), **UNCLAIMED):
        refuse(case)
    disposition = ""
    if case.hold is not None:
        given = rules.disposition_at_end(priority=case.priority, on_timeout=case.hold.on_timeout)
        answer = holds.expire_hold(decision_id=case.hold.pk, disposition=given)
        disposition = answer.disposition
    record(
        "review.superseded", case, Actor.of(by), reason=reason, disposition=disposition, **untold
    )
    return case


def check_reason(reason_code: str, reason: str) -> None:
    """Raise ReasonMissing unless there is a code of the list and a sentence."""
    if reason_code and reason_code not in CaseVerdict.Reason.values:
        raise ReasonMissing("There is no such reason code.")
    if not (reason_code and reason.strip()):
        raise ReasonMissing
