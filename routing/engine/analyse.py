"""Proves what a policy can and cannot do, and shows a request for every finding.

Blocking findings keep a version from being submitted; the others are advice. Nothing is sampled:
reachability is exact (see `reach`).
"""

from __future__ import annotations

from collections.abc import Mapping

from routing.engine import advice, hazards
from routing.engine.branches import Analysis, may_pass_on, prepare
from routing.engine.document import parse_policy
from routing.engine.policy import DEFAULT_RULE, FAILURE_RULE, Policy
from routing.engine.registry import DATA_CLASSES
from routing.engine.types import BackendFacts, Finding, PolicyError


def lint(
    document: object,
    backends: Mapping[str, BackendFacts] | None = None,
    *,
    now_s: int = 0,
    floor: str | None = None,
    data_classes: tuple[str, ...] = DATA_CLASSES,
) -> list[Finding]:
    """Everything that is wrong with a document: what cannot be read, else what is proved."""
    try:
        policy = parse_policy(document, data_classes=data_classes)
    except PolicyError as error:
        return error.findings
    return analyse(policy, backends, now_s=now_s, floor=floor)


def analyse(
    policy: Policy,
    backends: Mapping[str, BackendFacts] | None = None,
    *,
    now_s: int = 0,
    floor: str | None = None,
) -> list[Finding]:
    """The findings on a policy, blocking ones first.

    Without `backends` nothing is said of targets. `floor` is the route's own data class, under
    which no request of it can be; sign-offs are held against `now_s`.
    """
    analysis = prepare(policy, backends, now_s=now_s, floor=floor)
    _find_unreachable(analysis)
    _find_infeasible(analysis)
    _find_loops(analysis)
    if backends is not None:
        hazards.find(analysis)
    advice.find(analysis)
    return sorted(analysis.findings, key=lambda found: not found.blocking)


def _find_unreachable(analysis: Analysis) -> None:
    for place, branch in enumerate(analysis.branches):
        if branch.id in (DEFAULT_RULE, FAILURE_RULE):
            branch.is_reachable = analysis.can_hold(*branch.reached)
            continue
        if analysis.can_hold(*branch.reached) or _is_undecided(analysis):
            continue
        branch.is_reachable = False
        if not analysis.can_hold(branch.own):
            message = f"“{branch.name}” can never match: its conditions contradict each other"
            analysis.add("contradiction", f"{branch.path}.when", message)
            continue
        by = next(
            (
                other.name
                for other in analysis.branches[:place]
                if not may_pass_on(other.outcome)
                and not analysis.can_hold(branch.own, other.unmatched)
            ),
            None,
        )
        cover = f"“{by}”, which comes earlier," if by else "the union of the earlier rules"
        message = f"“{branch.name}” is never reached: {cover} covers every request that it matches"
        example = analysis.witness(branch.own)
        analysis.add("unreachable", branch.path, message, witness=example)


def _is_undecided(analysis: Analysis) -> bool:
    return any(found.code == "undecided" for found in analysis.findings)


def _find_infeasible(analysis: Analysis) -> None:
    limits = analysis.policy.limits
    for name in ("first_token_ms", "stream_idle_ms"):
        value = getattr(limits, name)
        if value > limits.deadline_ms:
            message = f"is {value} ms, longer than the whole deadline of {limits.deadline_ms} ms"
            analysis.add("deadline", f"limits.{name}", message)
    for branch in analysis.branches:
        hold = branch.outcome.hold
        if hold and hold.on_timeout != "pending" and hold.hold_s * 1000 > limits.deadline_ms:
            message = (
                f"“{branch.name}” holds for {hold.hold_s} s, longer than the deadline of "
                f"{limits.deadline_ms} ms; use on_timeout: pending for a longer wait"
            )
            analysis.add("deadline", f"{branch.path}.then.hold.hold_s", message)


def _find_loops(analysis: Analysis) -> None:
    chains = analysis.policy.fallbacks.failure
    for start in chains:
        seen: list[str] = []
        waiting = [(start, [start])]
        while waiting:
            name, trail = waiting.pop()
            for after in chains.get(name, ()):
                if after == start:
                    loop = " -> ".join([*trail, after])
                    path = f"fallbacks.failure.{start}"
                    analysis.add("fallback_cycle", path, f"the fallbacks go in a circle: {loop}")
                    waiting.clear()
                    break
                if after not in seen:
                    seen.append(after)
                    waiting.append((after, [*trail, after]))
    for tier, escalation in analysis.policy.escalation.items():
        if escalation.on_uncertain.action == "escalate" and tier == "llm":
            message = "there is no tier above llm to escalate to"
            analysis.add("escalation", "escalation.llm.on_uncertain", message)
