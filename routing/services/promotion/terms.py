"""What a route asks of a promotion, and how its rollout goes. Stricter is free, laxer is not."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django.db import transaction

import audit
from accounts.models import User
from audit.actors import Actor
from routing.engine import rollout
from routing.engine.checks import Terms
from routing.models import Route
from routing.services.transitions import given_reason
from screens.access import require
from screens.errors import Invalid

_KNOWN = {"terms", "limits", "steps", "capacity_per_day"}
_STANDING = Terms()


def terms_of(route: Route) -> Terms:
    return Terms.of(route.gate.get("terms", {}))


def steps_of(route: Route) -> tuple[rollout.Step, ...]:
    return rollout.steps_of(route.gate.get("steps", ()))


def capacity_of(route: Route) -> int | None:
    capacity: int | None = route.gate.get("capacity_per_day")
    return capacity


def limits_of(route: Route) -> rollout.Limits:
    given = {"backlog": capacity_of(route), **route.gate.get("limits", {})}
    return rollout.Limits(**given)


@transaction.atomic
def set_gate(*, route: Route, gate: dict[str, Any], by: User, reason: str) -> Route:
    """Give a route terms of its own. Fewer days or pairs than the standing ones need a waiver."""
    require(by, "routing.promote_policy")
    said = given_reason(reason)
    _refuse_unfit(gate)
    before = Route.objects.select_for_update().get(pk=route.pk).gate
    Route.objects.filter(pk=route.pk).update(gate=gate)
    route.refresh_from_db()
    audit.record(
        "route.changed",
        by=Actor.of(by),
        object_type="route",
        object_id=route.slug,
        reason=said,
        before={"gate": before},
        after={"gate": gate},
    )
    return route


def _refuse_unfit(gate: dict[str, Any]) -> None:
    try:
        if strange := gate.keys() - _KNOWN:
            raise ValueError(f"{min(strange)} is no part of a gate")
        terms = Terms.of(gate.get("terms", {}))
        rollout.steps_of(gate.get("steps", ()))
        rollout.Limits(**gate.get("limits", {}))
    except (ValueError, TypeError, KeyError) as problem:
        raise Invalid(f"These terms cannot be read: {problem}.", code="terms_invalid") from None
    for one in fields(Terms):
        given, standing = getattr(terms, one.name), getattr(_STANDING, one.name)
        needs_more = one.name.startswith(("min_", "eval_items", "backtest_days"))
        if given < standing if needs_more else given > standing and one.name == "alpha":
            raise Invalid(
                f"{one.name} may not be laxer than {standing:g}.",
                code="terms_too_lax",
                what_next="Keep it, and let a person waive the check by name where it must be.",
            )
