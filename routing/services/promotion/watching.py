"""The watch over rollouts: looks every few seconds, stops what a guard names, goes on when due."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from audit.actors import SYSTEM
from audit.ids import first_id
from routing.engine import rollout as engine
from routing.models import Incident, Rollout
from routing.services.promotion import rollouts, terms
from routing.services.promotion.counting import observe, treated_in_step
from screens.errors import DomainError

log = logging.getLogger(__name__)
# Decisions reach the list late; the follower looks back so far each time.
_LOOK_BACK = timedelta(minutes=2)


def watch_rollouts() -> int:
    """Look at every live rollout once. Safe to run twice."""
    stopped = 0
    live = Rollout.objects.select_related("route", "version__route", "baseline__route")
    for rollout in live.filter(state__in=Rollout.LIVE):
        try:
            stopped += watch(rollout) is not None
        except DomainError as problem:
            log.warning("a rollout cannot go on: %s", problem.message)
    return stopped


@transaction.atomic
def watch(rollout: Rollout) -> Incident | None:
    """Judge one rollout by its guards; the first that fired stops it, else it goes on when due."""
    seen = observe(rollout)
    guards = engine.watch(seen, terms.limits_of(rollout.route))
    now = timezone.now()
    Rollout.objects.filter(pk=rollout.pk).update(
        guards=[guard.as_json() for guard in guards],
        seen=asdict(seen),
        watched_at=now,
        followed_to=first_id(now - _LOOK_BACK),
    )
    rollout.refresh_from_db()
    fired = next((guard for guard in guards if guard.fired), None)
    if fired is not None:
        return rollouts.stop_by_guard(rollout=rollout, guard=fired, by=SYSTEM("rollout"))
    if rollouts.is_due(rollout, treated_in_step(rollout)):
        rollouts.advance_rollout(rollout=rollout, by=SYSTEM("rollout"))
    return None
