"""Checks what a policy names against the registered backends: there, able, and allowed at all?"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from routing.engine import boundaries
from routing.engine.boundaries import hops_of
from routing.engine.branches import CAPABILITY_SIGNALS, Analysis, Branch
from routing.engine.policy import Test


def find(analysis: Analysis) -> None:
    _find_bad_names(analysis)
    for place, branch in enumerate(analysis.branches):
        if not branch.is_reachable or branch.outcome.action not in ("route", "escalate"):
            continue
        seen: set[tuple[str, str, str]] = set()
        for hop in hops_of(analysis, branch):
            if (hop.kind, hop.name, hop.path) not in seen:
                seen.add((hop.kind, hop.name, hop.path))
                boundaries.judge(analysis, place, hop)
        _find_incapable(analysis, branch)


def _find_bad_names(analysis: Analysis) -> None:
    known = analysis.backends or {}
    for name, path, tier, is_hop in named_backends(analysis):
        backend = known.get(name)
        if backend is None:
            analysis.add("target_missing", path, f"there is no backend named {name!r}")
        elif backend.state == "disabled":
            analysis.add("target_disabled", path, f"{name} is disabled")
        elif tier is not None and backend.tier != tier:
            code = "escalation" if is_hop else "target_tier"
            message = f"{name} is of tier {backend.tier}, not {tier}"
            analysis.add(code, path, message)


def named_backends(analysis: Analysis) -> Iterator[tuple[str, str, str | None, bool]]:
    """Every backend that the document names: name, path, the tier it must have, if it escalates."""
    policy = analysis.policy
    for branch in analysis.branches:
        outcome = branch.outcome
        for place, name in enumerate(outcome.targets):
            path = f"{branch.path}.then.{outcome.action}.targets[{place}]"
            yield name, path, outcome.tier, False
        if outcome.hold and outcome.hold.candidate:
            yield outcome.hold.candidate, f"{branch.path}.then.hold.candidate", None, False
    for start, chain in policy.fallbacks.failure.items():
        yield start, f"fallbacks.failure.{start}", None, False
        for place, name in enumerate(chain):
            yield name, f"fallbacks.failure.{start}[{place}]", None, False
    for kind in ("context_window", "content_policy"):
        for place, name in enumerate(getattr(policy.fallbacks, kind)):
            yield name, f"fallbacks.{kind}[{place}]", None, False
    for tier, escalation in policy.escalation.items():
        for place, name in enumerate(escalation.to):
            yield name, f"escalation.{tier}.to[{place}]", "llm", True


def _find_incapable(analysis: Analysis, branch: Branch) -> None:
    known = analysis.backends or {}
    hops = list(hops_of(analysis, branch))
    targets = [hop for hop in hops if hop.kind == "target"]
    for signal, capability in CAPABILITY_SIGNALS.items():
        asked = analysis.space.formula(Test(signal, "eq", True))
        witness = analysis.witness(*branch.reached, asked)
        if witness is None:
            continue
        able = {hop.name for hop in hops if capability in known[hop.name].capabilities}
        always = not analysis.can_hold(*branch.reached, analysis.space.negated(asked))
        for hop in targets:
            if always and hop.name not in able:
                message = (
                    f"every request of “{branch.name}” needs {capability}, and {hop.name} has not"
                )
                analysis.add("target_incapable", hop.path, message, witness=witness)
        if targets and not able and not always:
            message = f"“{branch.name}” has no backend with {capability} for requests that need it"
            analysis.add("capability_gap", branch.path, message, blocking=False, witness=witness)
    for hop in targets:
        window = known[hop.name].context_window
        fits = analysis.space.negated(
            analysis.space.formula(Test("prompt_tokens", "gt", Decimal(window)))
        )
        if not analysis.can_hold(*branch.reached, fits):
            message = f"every prompt of “{branch.name}” is longer than {hop.name} can read"
            witness = analysis.witness(*branch.reached)
            analysis.add("target_incapable", hop.path, message, witness=witness)
