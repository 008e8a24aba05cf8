"""Rules that decided nothing for 30 days, and whether the route has traffic enough to say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from routing.models import Decision, PolicyVersion, Route
from routing.queries.traffic import begins, counted
from routing.services.documents import rules_of

DAYS = 30
# Of fewer decisions a rule may decide none by chance alone.
FEWEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleRules:
    """`why_not` says why nothing can be said; otherwise `rules` (id, name) decided none of `n`."""

    n: int
    rules: Sequence[tuple[str, str]]
    why_not: str = ""


def idle_rules(route: Route, document: dict[str, Any]) -> IdleRules:
    """The rules of this document that had 30 days to decide something under every version."""
    now = timezone.now()
    since = begins(now - timedelta(days=DAYS), now)
    hits = {
        row["rule"]: int(row["n"])
        for row in counted(since, now, by=("rule",), only={"route": route.slug})
    }
    n = sum(hits.values())
    why_not = _why_not(route, n, now - timedelta(days=DAYS))
    if why_not:
        return IdleRules(n=n, rules=(), why_not=why_not)
    in_force = PolicyVersion.objects.filter(
        Q(retired_at__isnull=True) | Q(retired_at__gte=since),
        route=route,
        activated_at__isnull=False,
    )
    known = [_conditions(one.document) for one in in_force]
    return IdleRules(
        n=n,
        rules=[
            (rule_id, str(rule.get("name") or rule_id))
            for rule in rules_of(document)
            if (rule_id := str(rule.get("id", ""))) not in hits
            and rule.get("enabled", True)
            and all(rule_id in one and one[rule_id] == rule.get("when") for one in known)
        ],
    )


def _conditions(document: dict[str, Any]) -> dict[str, Any]:
    return {
        str(rule.get("id", "")): rule.get("when")
        for rule in rules_of(document)
        if rule.get("enabled", True)
    }


def _why_not(route: Route, n: int, since: Any) -> str:
    if n < FEWEST:
        return f"The route made {n:,} decisions in {DAYS} days; from {FEWEST} on this is looked at."
    first = Decision.objects.filter(route=route.slug).order_by("id").values_list("at", flat=True)
    began = first.first()
    if began is None or began > since:
        return f"The route has traffic for less than {DAYS} days."
    return ""
