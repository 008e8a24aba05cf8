"""What a change of decisions is expected to cost, to take and to burden, with 95 % intervals.

The differences are paired, request by request, and summed as they come: no list is kept. The
interval is the normal one of the mean; under 30 requests there is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from routing.engine.changes import Outcome
from routing.engine.types import BackendFacts

FEWEST = 30
_Z = 1.959964
_MILLION = 1_000_000

_MEDIANS = """
    SELECT backend, percentile_cont(0.5) WITHIN GROUP (ORDER BY total_ms) AS ms, count(*)
    FROM routing_decision
    WHERE route = %s AND at >= %s AND at < %s AND outcome = 'served' AND backend <> ''
      AND total_ms IS NOT NULL
    GROUP BY backend
"""
_OUTPUT = """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY output_tokens) FROM routing_decision
    WHERE route = %s AND at >= %s AND at < %s AND output_tokens IS NOT NULL
"""


@dataclass(slots=True)
class Mean:
    """A running mean and variance (Welford); exact enough for millions of numbers."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    def add(self, value: float) -> None:
        self.n += 1
        step = value - self.mean
        self.mean += step / self.n
        self.m2 += step * (value - self.mean)

    @property
    def half_width(self) -> float | None:
        if self.n < FEWEST:
            return None
        return _Z * math.sqrt(self.m2 / (self.n - 1) / self.n)

    def as_json(self, scale: float = 1.0) -> dict[str, Any]:
        half = self.half_width
        return {
            "n": self.n,
            "value": self.mean * scale,
            "low": None if half is None else (self.mean - half) * scale,
            "high": None if half is None else (self.mean + half) * scale,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What the window itself says: median time per backend, median tokens of an answer."""

    ms: Mapping[str, float]
    output_tokens: float | None

    @classmethod
    def of(cls, route: str, since: datetime, until: datetime) -> Usual:
        with connection.cursor() as cursor:
            cursor.execute(_MEDIANS, [route, since, until])
            ms = {name: float(median) for name, median, _ in cursor.fetchall()}
            cursor.execute(_OUTPUT, [route, since, until])
            (tokens,) = cursor.fetchone()
        return cls(ms=ms, output_tokens=None if tokens is None else float(tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of a request as they were counted, or None where it had no answer."""

    input_tokens: int | None
    output_tokens: int | None


def cost_usd(backend: BackendFacts, tokens_in: float, tokens_out: float) -> float:
    prices = (float(Decimal(backend.price_in)), float(Decimal(backend.price_out)))
    return (prices[0] * tokens_in + prices[1] * tokens_out) / _MILLION


@dataclass(slots=True)
class Deltas:
    usual: Usual
    cost_before: Mean = field(default_factory=Mean)
    cost_change: Mean = field(default_factory=Mean)
    latency_before: Mean = field(default_factory=Mean)
    latency_change: Mean = field(default_factory=Mean)
    held_before: Mean = field(default_factory=Mean)
    held_change: Mean = field(default_factory=Mean)
    estimated: int = 0
    without_time: int = 0
    without_cost: int = 0

    def add(
        self,
        before: Outcome,
        after: Outcome,
        backends: Mapping[str, BackendFacts],
        usage: Usage,
        prompt_tokens: int | None,
    ) -> None:
        held = (before.action == "hold", after.action == "hold")
        self.held_before.add(held[0])
        self.held_change.add(held[1] - held[0])
        self._cost(before, after, backends, usage, prompt_tokens)
        times = (self._time(before), self._time(after))
        if times[0] is None or times[1] is None:
            # Where no backend answers there is no time of one to compare.
            self.without_time += before.action == "route" or after.action == "route"
            return
        self.latency_before.add(times[0])
        self.latency_change.add(times[1] - times[0])

    def _time(self, outcome: Outcome) -> float | None:
        return self.usual.ms.get(outcome.backend) if outcome.action == "route" else None

    def _cost(
        self,
        before: Outcome,
        after: Outcome,
        backends: Mapping[str, BackendFacts],
        usage: Usage,
        prompt_tokens: int | None,
    ) -> None:
        tokens_in = prompt_tokens if usage.input_tokens is None else usage.input_tokens
        tokens_out = (
            self.usual.output_tokens if usage.output_tokens is None else usage.output_tokens
        )
        routed = [one for one in (before, after) if one.action == "route"]
        known = all(one.backend in backends for one in routed)
        if routed and (tokens_in is None or tokens_out is None or not known):
            self.without_cost += 1
            return
        if routed and (usage.input_tokens is None or usage.output_tokens is None):
            self.estimated += 1
        costs = [
            cost_usd(backends[one.backend], tokens_in or 0, tokens_out or 0)
            if one.action == "route"
            else 0.0
            for one in (before, after)
        ]
        self.cost_before.add(costs[0])
        self.cost_change.add(costs[1] - costs[0])

    def as_json(self, per_day: float) -> dict[str, Any]:
        """`per_day` is how many decisions the route makes on a day of the window."""
        return {
            "cost_before": self.cost_before.as_json(1000),
            "cost_change": self.cost_change.as_json(1000),
            "latency_before": self.latency_before.as_json(),
            "latency_change": self.latency_change.as_json(),
            "held_before": self.held_before.as_json(per_day),
            "held_change": self.held_change.as_json(per_day),
            "estimated": self.estimated,
            "without_time": self.without_time,
            "without_cost": self.without_cost,
            "medians_ms": {name: round(ms) for name, ms in sorted(self.usual.ms.items())},
        }
