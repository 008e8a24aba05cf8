"""Activation at a time: agreed by a person, done by the clock, suspended when anything changed."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from audit.actors import SYSTEM
from routing.models import PolicyVersion
from routing.services import policies, transitions
from routing.services.transitions import MustRebase, WrongState, given_reason
from screens.access import require
from screens.errors import DomainError, Invalid, NotAllowed

log = logging.getLogger(__name__)

State = PolicyVersion.State
FURTHEST = timedelta(days=90)


@transaction.atomic
def schedule_version(
    *, version: PolicyVersion, at: datetime, by: User, reason: str
) -> PolicyVersion:
    """Have an approved version activated at a time. It is checked now, and again when it is due."""
    require(by, "routing.activate_policy")
    said, now = given_reason(reason), timezone.now()
    if not now < at <= now + FURTHEST:
        raise Invalid(
            f"Choose a time that is still to come, within {FURTHEST.days} days.",
            code="time_invalid",
        )
    policies.refuse_conflict(version)
    transitions.move(
        version,
        (State.APPROVED,),
        State.SCHEDULED,
        scheduled_for=at,
        scheduled_by=by,
        schedule_reason=said[:500],
        suspended_at=None,
        suspended_why="",
    )
    transitions.record(
        "policy.scheduled", version, by, reason=said, details={"scheduled_for": at.isoformat()}
    )
    return version


@transaction.atomic
def cancel_schedule(*, version: PolicyVersion, by: User, reason: str) -> PolicyVersion:
    """Back to approved: the version can be activated or scheduled again."""
    require(by, "routing.activate_policy")
    said, due = given_reason(reason), version.scheduled_for
    transitions.move(version, (State.SCHEDULED,), State.APPROVED)
    details = {"scheduled_for": due.isoformat() if due else None}
    transitions.record("policy.schedule_cancelled", version, by, reason=said, details=details)
    return version


def activate_due(now: datetime | None = None) -> int:
    """Activate every version whose time has come; suspend what cannot be. Safe to run twice."""
    moment = now or timezone.now()
    due = PolicyVersion.objects.filter(state=State.SCHEDULED, scheduled_for__lte=moment)
    activated = 0
    for pk in list(due.order_by("scheduled_for").values_list("pk", flat=True)):
        activated += _activate_one(pk, moment)
    return activated


def _activate_one(pk: int, moment: datetime) -> bool:
    with transaction.atomic():
        version = (
            PolicyVersion.objects.select_for_update(of=("self",))
            .select_related("route", "scheduled_by")
            .filter(pk=pk, state=State.SCHEDULED, scheduled_for__lte=moment)
            .first()
        )
        if version is None or version.scheduled_by is None:
            return False
        try:
            with transaction.atomic():
                policies.put_into_force(
                    version=version,
                    by=version.scheduled_by,
                    reason=version.schedule_reason,
                    source=State.SCHEDULED,
                    actor=SYSTEM("schedule"),
                )
        except DomainError as problem:
            transitions.suspend_schedule(
                version=version, why=_why(version, problem), by=SYSTEM("schedule")
            )
            log.warning("a scheduled activation was suspended", extra={"version": str(version)})
            return False
    return True


def _why(version: PolicyVersion, problem: DomainError) -> str:
    if isinstance(problem, NotAllowed):
        who = version.scheduled_by
        if who is not None and not who.is_active:
            return f"{who}, who scheduled it, was deactivated."
        return f"{who}, who scheduled it, may no longer activate a policy."
    if isinstance(problem, policies.NotAPolicy):
        return f"A finding blocks it now: {problem.message}"
    if isinstance(problem, (MustRebase, WrongState)):
        return problem.message
    return f"It could not be activated: {problem.message}"
