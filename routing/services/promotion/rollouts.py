"""The life of a rollout: begun, raised step by step, done, or stopped by a guard or a person.

Each act is a change of rows that replicas carry in their snapshot; they follow within seconds.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

import audit
from accounts.models import User
from audit.actors import Actor
from routing.engine.rollout import Guard, Step, steps_of
from routing.models import Incident, PolicyVersion, Promotion, Rollout
from routing.services import policies
from routing.services.promotion import terms
from routing.services.promotion.counting import counted
from routing.services.transitions import WrongState, given_reason
from screens.access import require
from screens.errors import Conflict

State = Rollout.State


def begin_rollout(
    *, promotion: Promotion, by: User, projected_usd: float | None = None, attempt: int = 1
) -> Rollout:
    """Start an attempt at the first step. Its salt is new, so that it draws other units."""
    version = promotion.version
    if Rollout.objects.filter(route=version.route, state__in=Rollout.LIVE).exists():
        raise Conflict("A rollout of this route is running; end it first.")
    steps, now = terms.steps_of(version.route), timezone.now()
    start = counted(version.route.slug, str(version), str(promotion.incumbent))
    made = Rollout(
        promotion=promotion,
        route=version.route,
        version=version,
        baseline=promotion.incumbent,
        attempt=attempt,
        salt=secrets.token_hex(16),
        steps=[step.as_json() for step in steps],
        share=steps[0].share,
        projected_usd=projected_usd,
        started_by=by,
        started_at=now,
        step_at=now,
        counted_at_start=start,
        counted_at_step=start,
    )
    made.save(force_insert=True)
    _record("rollout.started", made, Actor.of(by), details={"share": made.share})
    if made.share == 100:
        _give_all(made, Actor.of(by))
    return made


def step_of(rollout: Rollout) -> Step:
    return steps_of(rollout.steps)[rollout.step]


@transaction.atomic
def advance_rollout(*, rollout: Rollout, by: Actor) -> Rollout:
    """Go to the next step; at the last the candidate becomes active, after it the rollout ends."""
    locked = Rollout.objects.select_for_update().get(pk=rollout.pk)
    if not locked.is_live:
        raise WrongState("This rollout has ended.")
    now = timezone.now()
    if locked.step + 1 >= len(locked.steps):
        Rollout.objects.filter(pk=locked.pk).update(
            state=State.DONE, ended_at=now, ended_why="Every step was passed."
        )
        rollout.refresh_from_db()
        _record("rollout.done", rollout, by)
        return rollout
    share = locked.steps[locked.step + 1]["share"]
    Rollout.objects.filter(pk=locked.pk).update(
        step=locked.step + 1,
        share=share,
        step_at=now,
        counted_at_step=counted(locked.route.slug, str(locked.version), str(locked.baseline)),
    )
    rollout.refresh_from_db()
    _record("rollout.advanced", rollout, by, details={"share": share})
    if share == 100:
        _give_all(rollout, by)
    return rollout


def _give_all(rollout: Rollout, by: Actor) -> None:
    """The pointer swap: the candidate becomes the active version, and stays watched."""
    promoter = rollout.promotion.promoted_by
    if promoter is None:
        raise LookupError("a rollout belongs to a promotion that was carried out")
    Rollout.objects.filter(pk=rollout.pk).update(state=State.BAKING)
    rollout.refresh_from_db()
    policies.put_into_force(
        version=rollout.version,
        by=promoter,
        reason=f"Promotion: {rollout.promotion.why}"[:500],
        source=PolicyVersion.State.APPROVED,
        actor=by,
    )


@transaction.atomic
def stop_by_guard(*, rollout: Rollout, guard: Guard, by: Actor) -> Incident | None:
    """Stop at once because a guard fired, with an incident. None where somebody was faster."""
    if not _end(rollout, f"{guard.title}: {guard.sentence}", by):
        return None
    incident = Incident.objects.create(
        rollout=rollout,
        guard=guard.name,
        sentence=guard.sentence[:500],
        figures=dict(guard.figures),
        at=rollout.ended_at or timezone.now(),
    )
    details = {"guard": guard.name, "sentence": guard.sentence}
    _record("rollout.aborted", rollout, by, reason=rollout.ended_why, details=details)
    return incident


@transaction.atomic
def abort_rollout(*, rollout: Rollout, by: User, reason: str) -> Rollout:
    """Stop at once: all traffic goes back to the version before."""
    require(by, "routing.activate_policy")
    said = given_reason(reason)
    if not _end(rollout, said, Actor.of(by)):
        raise WrongState("This rollout has ended already.")
    _record("rollout.aborted", rollout, Actor.of(by), reason=said, details={"guard": ""})
    return rollout


def _end(rollout: Rollout, why: str, by: Actor) -> bool:
    """End a live rollout; where its version is active already, the one before comes back."""
    changed = Rollout.objects.filter(pk=rollout.pk, state__in=Rollout.LIVE).update(
        state=State.ABORTED, ended_at=timezone.now(), ended_why=why[:500]
    )
    rollout.refresh_from_db()
    if changed and policies.active_version(rollout.route) == rollout.version:
        policies.swap_back(version=rollout.baseline, by=rollout.started_by, actor=by, reason=why)
    return bool(changed)


@transaction.atomic
def resume_rollout(*, rollout: Rollout, by: User, reason: str) -> Rollout:
    """Try again from the first step as a new attempt, which draws other units."""
    require(by, "routing.promote_policy")
    said = given_reason(reason)
    promotion = Promotion.objects.select_for_update().get(pk=rollout.promotion_id)
    last = promotion.rollouts.first()
    if last is None or last.pk != rollout.pk or last.state != State.ABORTED:
        raise WrongState("Only the last attempt, when it was stopped, can be tried again.")
    if last.incidents.filter(guard="boundary").exists():
        raise Conflict(
            "Data met a boundary in this attempt.",
            what_next="Write a version that cannot do that, and promote it.",
        )
    if last.incidents.filter(noted_at__isnull=True).exists():
        raise Conflict("Take note of the incident first.")
    if promotion.version.state != PolicyVersion.State.APPROVED:
        raise WrongState(
            f"{promotion.version} is {promotion.version.get_state_display()}; "
            "start a draft from it, and promote that."
        )
    policies.refuse_conflict(promotion.version)
    made = begin_rollout(
        promotion=promotion,
        by=by,
        projected_usd=None if last.projected_usd is None else float(last.projected_usd),
        attempt=last.attempt + 1,
    )
    _record("rollout.resumed", made, Actor.of(by), reason=said)
    return made


@transaction.atomic
def note_incident(*, incident: Incident, by: User, reason: str) -> Incident:
    require(by, "routing.operate")
    said = given_reason(reason)
    changed = Incident.objects.filter(pk=incident.pk, noted_at__isnull=True).update(
        noted_by=by, noted_at=timezone.now(), note=said[:500]
    )
    if not changed:
        raise Conflict("Somebody has taken note of it already.")
    incident.refresh_from_db()
    _record("incident.noted", incident.rollout, Actor.of(by), reason=said)
    return incident


def is_due(rollout: Rollout, treated: int) -> bool:
    """Whether the running step has lasted long enough on enough requests."""
    step = step_of(rollout)
    waited = timezone.now() - rollout.step_at >= timedelta(minutes=step.minutes)
    return waited and treated >= step.treated


def _record(
    kind: str,
    rollout: Rollout,
    by: Actor,
    *,
    reason: str = "",
    details: dict[str, Any] | None = None,
) -> None:
    audit.record(
        kind,
        by=by,
        object_type="policy_version",
        object_id=str(rollout.version),
        reason=reason,
        details={
            "route": rollout.route.slug,
            "baseline": str(rollout.baseline),
            "attempt": rollout.attempt,
            "step": rollout.step,
            **(details or {}),
        },
    )
