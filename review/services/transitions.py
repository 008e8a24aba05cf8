"""One change of a case: a conditional update on id, version and state, then its event.

Every service of review changes cases by ``move`` alone, so that nobody acts on an old page.
"""

from __future__ import annotations

from typing import Any, NoReturn

from django.db.models import F, Q

import audit
from accounts.models import User
from audit.actors import SYSTEM, Actor
from review import rules
from review.errors import AlreadyClaimed, CaseEnded, ClaimLost
from review.models import Case

SWEEPER = SYSTEM("sweeper")
UNCLAIMED: dict[str, Any] = {
    "claimed_by": None,
    "claimed_at": None,
    "lease_expires_at": None,
    "heartbeat_at": None,
    "release_from": None,
    "shown_candidate": None,
}


def move(case: Case, transition: str, *, held_by: User | None = None, **changes: Any) -> bool:
    """Make a transition if the case is still as it was seen. Returns whether it was.

    The case is fresh afterwards in either case, so that a refusal can name who was first.
    """
    where = Q(
        pk=case.pk,
        version=case.version,
        state__in=rules.sources_of(transition),
        stage__in=rules.stages_of(transition),
    )
    if held_by is not None:
        where &= Q(claimed_by=held_by)
    if target := rules.target_of(transition):
        changes["state"] = target
    changed = Case.objects.filter(where).update(version=F("version") + 1, **changes)
    case.refresh_from_db()
    return changed == 1


def record(kind: str, case: Case, by: Actor, *, reason: str = "", **details: Any) -> None:
    """The event of a change, in its transaction. No text of a request or an answer goes in."""
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
            "level": case.level,
            "stage": case.stage,
            **details,
        },
    )


def lose_lease(case: Case) -> bool:
    """Return a case to the queue because its claim ran out; call it in a transaction."""
    holder, losses = case.claimed_by, case.lease_losses + 1
    if not move(
        case,
        rules.lost_by(case.stage),
        lease_losses=losses,
        level=rules.level_after_losses(level=case.level, losses=losses),
        **UNCLAIMED,
    ):
        return False
    record("review.lease_lost", case, SWEEPER, holder=str(holder), losses=losses)
    return True


def refuse(case: Case) -> NoReturn:
    """Say why a change was not possible: the case ended, somebody has it, or nobody does."""
    if case.has_ended:
        raise CaseEnded(case.ending)
    if case.state == Case.State.CLAIMED and case.claimed_by is not None:
        raise AlreadyClaimed(str(case.claimed_by))
    raise ClaimLost
