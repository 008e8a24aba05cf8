"""Ratios and verdicts from what was measured. Pure: the same figures give the same verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise. ``at_least``: larger is better; else smaller is."""

    name: str
    bar: float
    stretch: float
    unit: str
    at_least: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    name: str
    bar: float
    stretch: float
    unit: str
    value: float | None
    word: str


BARS = {
    "requests_litellm": Bar("requests/s against LiteLLM, 32 connections", 15, 25, "x", True),
    "requests_portkey": Bar("requests/s against Portkey, 32 connections", 3, 5, "x", True),
    "streams_litellm": Bar("streams/s against LiteLLM, 32 connections", 50, 100, "x", True),
    "requests_nginx": Bar("share of nginx: requests", 3, 5, "%", True),
    "streams_nginx": Bar("share of nginx: streams", 20, 35, "%", True),
    "added_p50": Bar("added p50 at 1 connection, instant upstream", 1.3, 0.9, "ms", False),
    "added_slow_p50": Bar("added p50 over nginx, 20 ms upstream", 0.7, 0.4, "ms", False),
    "p99": Bar("p99 at 32 connections", 15, 8, "ms", False),
    "paced_cores": Bar("128 paced streams: cores used", 0.6, 0.4, "cores", False),
    "paced_p50": Bar("128 paced streams: p50 over nginx", 8, 5, "%", False),
    "recorded": Bar("throughput recorded / unrecorded, 20 ms upstream", 0.95, 0.98, "", True),
    "classify_p50": Bar("classification and decision p50, 500 tokens", 0.35, 0.15, "ms", False),
    "classify_p99": Bar("classification and decision p99, 500 tokens", 1.5, 0.8, "ms", False),
    "policy": Bar("policy evaluation with trace, 15 rules", 50, 20, "us", False),
    "memory": Bar("memory per worker (PSS)", 120, 80, "MB", False),
    "memory_growth": Bar("memory after many requests / after 1,000", 1.1, 1.02, "", False),
}  # fmt: skip


def _get(figures: Figures, *path: str) -> float | None:
    found: Any = figures
    for name in path:
        if not isinstance(found, Mapping) or found.get(name) is None:
            return None
        found = found[name]
    return float(found)


def _over(a: float | None, b: float | None, scale: float = 1.0) -> float | None:
    return None if a is None or not b else a / b * scale


def values(figures: Figures) -> dict[str, float | None]:
    """The value for each bar; None where a part of it could not be measured."""

    def rate(mode: str, name: str) -> float | None:
        return _get(figures, mode, name, "per_s")

    ours, streams = rate("requests_32", "signalbox"), rate("streams_32", "signalbox")
    slow = _get(figures, "latency_slow", "signalbox", "p50_ms")
    slow_nginx = _get(figures, "latency_slow", "nginx", "p50_ms")
    paced_nginx = _get(figures, "paced", "nginx", "p50_ms")
    paced = _over(_get(figures, "paced", "signalbox", "p50_ms"), paced_nginx, 100)
    return {
        "requests_litellm": _over(ours, rate("requests_32", "litellm")),
        "requests_portkey": _over(ours, rate("requests_32", "portkey")),
        "streams_litellm": _over(streams, rate("streams_32", "litellm")),
        "requests_nginx": _over(ours, rate("requests_32", "nginx"), 100),
        "streams_nginx": _over(streams, rate("streams_32", "nginx"), 100),
        "added_p50": _get(figures, "latency", "signalbox", "total_added_p50_ms"),
        "added_slow_p50": None if slow is None or slow_nginx is None else slow - slow_nginx,
        "p99": _get(figures, "requests_32", "signalbox", "p99_ms"),
        "paced_cores": _get(figures, "paced", "signalbox", "cores"),
        "paced_p50": None if paced is None else paced - 100,
        "recorded": _over(rate("recording", "signalbox"), rate("recording", "unrecorded")),
        "classify_p50": _get(figures, "engine", "classify_and_decide_ms", "p50"),
        "classify_p99": _get(figures, "engine", "classify_and_decide_ms", "p99"),
        "policy": _get(figures, "engine", "policy_us", "p50"),
        "memory": _get(figures, "memory", "after_many_mb"),
        "memory_growth": _get(figures, "memory", "growth"),
    }


def verdict(bar: Bar, value: float | None) -> str:
    if value is None:
        return "not measured"
    better = (lambda limit: value >= limit) if bar.at_least else (lambda limit: value <= limit)
    if better(bar.stretch):
        return "beyond the stretch"
    return "met" if better(bar.bar) else "missed"


def verdicts(figures: Figures) -> list[Verdict]:
    found = values(figures)
    return [
        Verdict(
            name=bar.name,
            bar=bar.bar,
            stretch=bar.stretch,
            unit=bar.unit,
            value=None if found[key] is None else round(float(found[key]), 3),  # type: ignore[arg-type]
            word=verdict(bar, found[key]),
        )
        for key, bar in BARS.items()
    ]
