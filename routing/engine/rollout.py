"""Who is in a rollout's share, and what stops it: pure, so that a replay can do it again.

A unit (a session, or else a client) has one place in an attempt. A larger share adds units and
moves nobody back; another attempt has another salt, so that nobody is hurt twice for one's place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from routing.engine import sequential
from routing.engine.sequential import Arm

CANDIDATE, BASELINE = "candidate", "baseline"
GUARDS = {
    "errors": "Errors above their ceiling",
    "harm": "More errors than the baseline",
    "sample_ratio": "Uneven shares",
    "boundary": "Data at a boundary",
    "spend": "Spending above the projection",
    "backlog": "Too many waiting cases",
    "breaker": "A backend that fails",
}
# One of several guards may fire by chance: each has its part of one in a hundred.
ALPHA = 0.01
SRM_ALPHA = 0.001
_TESTED = 2


def place_of(salt: str, unit: str) -> float:
    """Where a unit stands in an attempt, from 0 to below 1."""
    drawn = hashlib.sha256(f"rollout:{salt}:{unit}".encode()).digest()
    return int.from_bytes(drawn[:8]) / 2**64


def arm_of(salt: str, unit: str, share_pct: float) -> str:
    return CANDIDATE if place_of(salt, unit) < share_pct / 100 else BASELINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A share in percent, and how long and on how many requests it is watched at least."""

    share: int
    minutes: int
    treated: int

    def as_json(self) -> dict[str, int]:
        return {"share": self.share, "minutes": self.minutes, "treated": self.treated}


DEFAULT_STEPS = (
    Step(share=1, minutes=60, treated=200),
    Step(share=10, minutes=360, treated=1000),
    Step(share=50, minutes=1440, treated=5000),
    Step(share=100, minutes=72 * 60, treated=0),
)


def steps_of(given: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps of a route; the last is 100 %, and its time is the bake. Raises ValueError."""
    if not given:
        return DEFAULT_STEPS
    steps = tuple(Step(**{f.name: int(one[f.name]) for f in fields(Step)}) for one in given)
    shares = [step.share for step in steps]
    if shares != sorted(set(shares)) or shares[-1] != 100 or shares[0] < 1:
        raise ValueError("the shares rise from at least 1 and end at 100")
    if any(step.minutes < 0 or step.treated < 0 for step in steps):
        raise ValueError("a step has no negative time or number of requests")
    return steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What stops a rollout. `harm` is in shares: 0.02 is two points above the baseline."""

    error_ceiling: float = 0.02
    harm: float = 0.02
    spend_over: float = 0.20
    # Fewer requests say nothing of a cost.
    spend_requests: int = 50
    backlog: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was counted since the step (harm, shares) or the attempt (the rest) began.

    Costs are USD a request; `units` counts the units of each arm once.
    """

    candidate: Arm
    baseline: Arm
    share: int
    treated_units: int = 0
    units: int = 0
    violations: int = 0
    cost_usd: float = 0.0
    projected_usd: float | None = None
    costed: int = 0
    waiting: int = 0
    failing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    name: str
    fired: bool
    sentence: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return GUARDS[self.name]

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "fired": self.fired,
            "sentence": self.sentence,
            "figures": dict(self.figures),
        }


def watch(seen: Seen, limits: Limits) -> tuple[Guard, ...]:
    """Every guard with what it saw; one that fired stops the rollout."""
    return (
        _boundary(seen),
        _errors(seen, limits),
        _harm(seen, limits),
        _sample_ratio(seen),
        _spend(seen, limits),
        _backlog(seen, limits),
        _breaker(seen),
    )


def _rate(arm: Arm) -> str:
    return f"{arm.events:,} of {arm.trials:,}"


def _errors(seen: Seen, limits: Limits) -> Guard:
    arm = seen.candidate
    log_e = sequential.log_e_ceiling(arm.events, arm.trials, limits.error_ceiling)
    return Guard(
        name="errors",
        fired=sequential.reaches(log_e, ALPHA / _TESTED),
        sentence=f"{_rate(arm)} requests of the candidate failed; the ceiling is "
        f"{limits.error_ceiling * 100:g} %.",
        figures={"events": arm.events, "trials": arm.trials, "log_e": round(log_e, 6)},
    )


def _harm(seen: Seen, limits: Limits) -> Guard:
    found = sequential.difference_of(seen.candidate, seen.baseline, ALPHA / _TESTED)
    sides = f"{_rate(seen.candidate)} against {_rate(seen.baseline)} failed"
    if found is None:
        return Guard(
            name="harm", fired=False, sentence=f"{sides}; too few failures to compare the two."
        )
    return Guard(
        name="harm",
        fired=found.low > limits.harm,
        sentence=f"{sides}: {found.value * 100:+.1f} points "
        f"({found.low * 100:+.1f} to {found.high * 100:+.1f}).".replace("-", "−"),
        figures={"value": round(found.value, 6), "low": round(found.low, 6)},
    )


def _sample_ratio(seen: Seen) -> Guard:
    share = seen.share / 100
    said = f"{seen.treated_units:,} of {seen.units:,} sessions and clients are on the candidate"
    if not 0 < share < 1:
        return Guard(name="sample_ratio", fired=False, sentence=f"{said}; everybody is in.")
    log_e = sequential.log_e_sample_ratio(seen.treated_units, seen.units, share)
    return Guard(
        name="sample_ratio",
        fired=sequential.reaches(log_e, SRM_ALPHA),
        sentence=f"{said}; {seen.share} % should be.",
        figures={
            "treated": seen.treated_units,
            "units": seen.units,
            "share": seen.share,
            "log_e": round(log_e, 6),
        },
    )


def _boundary(seen: Seen) -> Guard:
    count = seen.violations
    return Guard(
        name="boundary",
        fired=count > 0,
        sentence=f"{count:,} requests of the candidate were stopped at a boundary."
        if count
        else "No request of the candidate was stopped at a boundary.",
        figures={"count": count},
    )


def _spend(seen: Seen, limits: Limits) -> Guard:
    if seen.projected_usd is None:
        return Guard(name="spend", fired=False, sentence="No cost was projected.")
    if seen.costed < limits.spend_requests:
        return Guard(
            name="spend",
            fired=False,
            sentence=f"{seen.costed:,} of {limits.spend_requests:,} requests are counted.",
        )
    per, allowed = seen.cost_usd / seen.costed, seen.projected_usd * (1 + limits.spend_over)
    return Guard(
        name="spend",
        fired=per > allowed,
        sentence=f"{per * 1000:.4f} USD per 1,000 requests; {seen.projected_usd * 1000:.4f} were "
        f"projected, and {limits.spend_over * 100:g} % more is allowed.",
        figures={"per_request": round(per, 9), "projected": round(seen.projected_usd, 9)},
    )


def _backlog(seen: Seen, limits: Limits) -> Guard:
    if limits.backlog is None:
        return Guard(name="backlog", fired=False, sentence=f"{seen.waiting:,} cases wait.")
    return Guard(
        name="backlog",
        fired=seen.waiting > limits.backlog,
        sentence=f"{seen.waiting:,} cases wait; the reviewers take {limits.backlog:,} a day.",
        figures={"waiting": seen.waiting, "limit": limits.backlog},
    )


def _breaker(seen: Seen) -> Guard:
    names = ", ".join(seen.failing)
    return Guard(
        name="breaker",
        fired=bool(seen.failing),
        sentence=f"The candidate's backend does not answer: {names}."
        if names
        else "Every backend of the candidate answers.",
    )
