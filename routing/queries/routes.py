"""What the route screens show: traffic, the active policy, who runs it, and what waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from routing.engine.policy import BASELINE_RULE, DEFAULT_RULE, FAILURE_RULE
from routing.models import KillSwitch, PolicyVersion, Replica, Route, SnapshotRevision
from routing.queries.traffic import begins, counted
from routing.services.documents import rules_of
from screens.charts import FlowFigures
from screens.errors import NotFound

State = PolicyVersion.State
OPEN_STATES = (State.DRAFT, State.IN_REVIEW, State.APPROVED, State.SCHEDULED)
PERIODS = {
    "day": ("the last 24 hours", timedelta(days=1)),
    "week": ("the last 7 days", timedelta(days=7)),
}
# A replica that has not been seen for this long is no longer counted as running.
SILENT_AFTER = timedelta(seconds=60)

_FAILED = ("failed", "blocked", "outcome_unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Where one route's requests went. The shares are of those that a backend got."""

    requests: int = 0
    slm: int = 0
    llm: int = 0

    @property
    def slm_share(self) -> float | None:
        return self.slm / (self.slm + self.llm) if self.slm + self.llm else None

    @property
    def llm_share(self) -> float | None:
        return None if self.slm_share is None else 1 - self.slm_share


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteLine:
    route: Route
    active: PolicyVersion | None
    open_versions: list[PolicyVersion]
    traffic: Traffic
    is_stopped: bool


def all_routes() -> list[RouteLine]:
    """Every route with its active version, what is open on it, and the last 24 hours."""
    routes = list(Route.objects.select_related("baseline"))
    versions = (
        PolicyVersion.objects.filter(state__in=(State.ACTIVE, *OPEN_STATES))
        .select_related("route", "author", "activated_by")
        .defer("document")
    )
    of_route: dict[int, list[PolicyVersion]] = {}
    for version in versions:
        of_route.setdefault(version.route_id, []).append(version)
    traffic = _traffic_by_route(timezone.now() - timedelta(days=1))
    stopped = set(
        KillSwitch.objects.filter(scope="route", released_at__isnull=True).values_list(
            "target", flat=True
        )
    )
    return [
        RouteLine(
            route=route,
            active=next((v for v in of_route.get(route.pk, []) if v.state == State.ACTIVE), None),
            open_versions=[v for v in of_route.get(route.pk, []) if v.state != State.ACTIVE],
            traffic=traffic.get(route.slug, Traffic()),
            is_stopped=route.slug in stopped,
        )
        for route in routes
    ]


def _traffic_by_route(start: datetime) -> dict[str, Traffic]:
    now = timezone.now()
    found: dict[str, dict[str, int]] = {}
    for row in counted(begins(start, now), now, by=("route", "tier")):
        found.setdefault(row["route"], {})[row["tier"]] = int(row["n"])
    return {
        slug: Traffic(
            requests=sum(tiers.values()), slm=tiers.get("slm", 0), llm=tiers.get("llm", 0)
        )
        for slug, tiers in found.items()
    }


def route_named(slug: str) -> Route:
    route = Route.objects.select_related("baseline").filter(slug=slug).first()
    if route is None:
        raise NotFound(f"There is no route named {slug!r}.")
    return route


def flow_figures(route: Route, document: dict[str, Any] | None, start: datetime) -> FlowFigures:
    """What happened on a route since `start`, in boxes that add up to all of it."""
    now = timezone.now()
    found = counted(
        begins(start, now),
        now,
        by=("rule", "tier", "outcome", "action", "cause"),
        only={"route": route.slug},
    )
    boxes = dict.fromkeys(("slm", "llm", "held", "safe_default", "refused", "failed"), 0)
    by_rule: dict[str, int] = {}
    escalated = 0
    for row in found:
        row["n"] = int(row["n"])
        by_rule[row["rule"]] = by_rule.get(row["rule"], 0) + row["n"]
        if row["cause"] == "uncertain_escalated":
            # The tier of the list is the last one; an escalation began at the small model.
            escalated += row["n"]
            boxes["slm"] += row["n"]
        else:
            boxes[_box_of(row)] += row["n"]
    return FlowFigures(
        requests=sum(boxes.values()),
        escalated=escalated,
        rules=_in_order(document, by_rule),
        **boxes,
    )


def _box_of(row: dict[str, Any]) -> str:
    if row["action"] == "hold":
        return "held"
    if row["outcome"] in ("safe_default", "refused"):
        return str(row["outcome"])
    if row["outcome"] in _FAILED or not row["tier"]:
        return {"safe_default": "safe_default", "refuse": "refused"}.get(row["action"], "failed")
    return str(row["tier"])


def _in_order(document: dict[str, Any] | None, by_rule: dict[str, int]) -> list[tuple[str, int]]:
    """The active version's rules in their order, then the default, then rules of earlier ones."""
    left = dict(by_rule)
    named: list[tuple[str, int]] = []
    for rule in rules_of(document or {}):
        rule_id = str(rule.get("id"))
        named.append((str(rule.get("name") or rule_id), left.pop(rule_id, 0)))
    named.append(("Default", left.pop(DEFAULT_RULE, 0)))
    for special, words in (
        (FAILURE_RULE, "Classifier unavailable"),
        (BASELINE_RULE, "Baseline, outside the rollout"),
    ):
        if special in left:
            named.append((words, left.pop(special)))
    named += [(f"{rule_id} (earlier version)", number) for rule_id, number in sorted(left.items())]
    return named


def hits_of_rules(route: Route, days: int = 7) -> dict[str, tuple[int, datetime | None]]:
    """How often each rule decided in the last days, and when it last did."""
    now = timezone.now()
    since = begins(now - timedelta(days=days), now)
    found = counted(since, now, by=("rule",), only={"route": route.slug})
    return {row["rule"]: (int(row["n"]), row["last_at"]) for row in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """One replica and whether it runs what the registry says now."""

    replica: Replica
    is_current: bool
    is_silent: bool


def acknowledgements(now: datetime | None = None) -> tuple[int, list[Acknowledgement]]:
    """The revision of now, and every replica against it."""
    revision = SnapshotRevision.objects.values_list("revision", flat=True).first() or 0
    moment = now or timezone.now()
    return revision, [
        Acknowledgement(
            replica=replica,
            is_current=replica.revision >= revision,
            is_silent=moment - replica.seen_at > SILENT_AFTER,
        )
        for replica in Replica.objects.all()
    ]


def engaged_switches(route: Route) -> list[KillSwitch]:
    """The switches that stop this route: its own, and the one for all public traffic."""
    return list(
        KillSwitch.objects.filter(released_at__isnull=True)
        .filter(Q(scope="route", target=route.slug) | Q(scope="public"))
        .select_related("engaged_by")
    )


def versions_of(route: Route) -> list[PolicyVersion]:
    return list(
        route.versions.select_related("author", "activated_by", "base")
        .defer("document", "base__document")
        .prefetch_related("approvals__by")
    )


def was_active(versions: Iterable[PolicyVersion]) -> list[PolicyVersion]:
    """The versions that a roll-back may go to."""
    return [
        version
        for version in versions
        if version.activated_at and version.state in (State.RETIRED, State.ROLLED_BACK)
    ]
