"""Where requests went, what it cost, how long it took, each against the baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from audit.reports.blocks import MOST_NAMES, OTHERS, Spread, Tally, section, share, table, text
from audit.reports.sections.base import Entry, Part
from audit.reports.traffic import Brief

OUTCOMES: Final = {
    "decision.completed": "served",
    "decision.safe_default": "safe default",
    "decision.held": "held",
    "decision.refused": "refused",
    "decision.failed": "failed",
    "decision.aborted": "broken off by the client",
    "decision.blocked": "blocked before sending",
    "decision.outcome_unknown": "outcome unknown",
}


@dataclass(slots=True)
class Served:
    """One backend's share."""

    tier: str = ""
    boundary: str = ""
    requests: int = 0
    cost: Decimal = Decimal(0)
    total_ms: Spread = field(default_factory=Spread)
    first_ms: Spread = field(default_factory=Spread)


@dataclass(slots=True)
class Money:
    """What a route cost, beside what its baseline backend would have cost for the same tokens."""

    requests: int = 0
    cost: Decimal = Decimal(0)
    priced: int = 0
    cost_of_priced: Decimal = Decimal(0)
    baseline: Decimal = Decimal(0)
    overhead_us: Spread = field(default_factory=Spread)


class Mix(Part):
    name, title = "mix", "Routing mix, cost and latency"

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.outcomes, self.rules, self.clients = Tally(), Tally(), Tally()
        self.days: dict[str, Tally] = {}
        self.backends: dict[str, Served] = {}
        self.routes: dict[str, Money] = {}

    def made(self, seq: int, entry: Entry, brief: Brief, is_inside: bool) -> None:
        if is_inside:
            self.rules.count(f"{brief.route}: {brief.rule}")
            client = entry["details"].get("client") or {}
            self.clients.count(client.get("name") or entry["actor"]["name"])

    def ended(self, seq: int, entry: Entry, brief: Brief | None, is_inside: bool) -> None:
        if not is_inside:
            return
        details, kind = entry["details"], entry["kind"]
        self.outcomes.count(OUTCOMES[kind])
        cost = amount(details.get("cost_usd"))
        self._route(str(details.get("route") or entry["object"]["id"]), details, cost)
        name = details.get("backend")
        day = self.days.setdefault(entry["at"][:10], Tally())
        day.count(str(details.get("boundary") or "no backend"))
        if not name:
            return
        served = _named(self.backends, str(name), Served)
        served.tier = str(details.get("tier") or served.tier)
        served.boundary = str(details.get("boundary") or served.boundary)
        served.requests += 1
        served.cost += cost
        if isinstance(whole := details.get("total_ms"), int):
            served.total_ms.add(whole)
        if isinstance(first := details.get("first_token_ms"), int):
            served.first_ms.add(first)

    def _route(self, slug: str, details: dict[str, Any], cost: Decimal) -> None:
        money = _named(self.routes, slug, Money)
        money.requests += 1
        money.cost += cost
        if (baseline := details.get("baseline_cost_usd")) is not None:
            money.priced += 1
            money.cost_of_priced += cost
            money.baseline += amount(baseline)
        if isinstance(overhead := details.get("overhead_us"), int):
            money.overhead_us.add(overhead)

    def section(self) -> dict[str, Any]:
        if not self.outcomes and not self.rules:
            return section(
                self.name, self.title, "", [text("No decision was made or ended in this period.")]
            )
        return section(
            self.name,
            self.title,
            "Counted from the end of every decision. Latencies are right within 2.5 percent; costs "
            "are list prices of the registry at the time. The baseline is what the route's "
            "baseline backend would have cost for the same tokens.",
            [
                self.outcomes.block("How decisions ended", "Outcome", "Decisions"),
                self._backends(),
                self._latency(),
                self._costs(),
                self.rules.block("Which rule of which route decided", "Rule", "Decisions"),
                self.clients.block("Who asked", "Client", "Decisions"),
                self._days(),
            ],
        )

    def _backends(self) -> Any:
        if not self.backends:
            return text("No request was carried to a backend.")
        total = sum(one.requests for one in self.backends.values())
        rows = [
            (name, one.tier, one.boundary, f"{one.requests:,}", share(one.requests, total),
             usd(one.cost))
            for name, one in sorted(self.backends.items())
        ]  # fmt: skip
        columns = ("Backend", "Tier", "Boundary", "Requests#", "Share#", "Cost, USD#")
        return table("Ends by the backend that was last asked", columns, rows)

    def _latency(self) -> Any:
        rows = [
            (name, *(_ms(one.total_ms.at(part)) for part in (0.5, 0.95, 0.99)),
             *(_ms(one.first_ms.at(part)) for part in (0.5, 0.95)))
            for name, one in sorted(self.backends.items())
        ]  # fmt: skip
        if not rows:
            return None
        columns = ("Backend", "Whole, half#", "95 %#", "99 %#", "First token, half#", "95 %#")
        return table("How long it took, in ms", columns, rows)

    def _costs(self) -> Any:
        rows = [
            (
                slug, f"{one.requests:,}", usd(one.cost), usd(one.baseline), f"{one.priced:,}",
                _saved(one), _ms(one.overhead_us.at(0.5)), _ms(one.overhead_us.at(0.95)),
            )
            for slug, one in sorted(self.routes.items())
        ]  # fmt: skip
        columns = (
            "Route", "Ends#", "Cost, USD#", "Baseline, USD#", "Ends with a baseline#", "Saved#",
            "Own time, half, µs#", "95 %#",
        )  # fmt: skip
        return table("Cost by route against its baseline, and the router's own time", columns, rows)

    def _days(self) -> Any:
        names = sorted({name for day in self.days.values() for name in day})
        rows = [
            (day, *(f"{tally[name]:,}" for name in names))
            for day, tally in sorted(self.days.items())
        ]
        columns = ("Day, UTC", *(f"{name}#" for name in names))
        return table("Ends by day and boundary", columns, rows)


def _named(known: dict[str, Any], name: str, make: Any) -> Any:
    key = name if name in known or len(known) < MOST_NAMES else OTHERS
    return known.setdefault(key, make())


def amount(value: Any) -> Decimal:
    try:
        found = Decimal(str(value or 0))
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() else Decimal(0)


def usd(value: Decimal) -> str:
    return f"{value:,.4f}"


def _ms(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _saved(one: Money) -> str:
    if not one.baseline:
        return "–"
    return f"{100 * (one.baseline - one.cost_of_priced) / one.baseline:.1f} %"
