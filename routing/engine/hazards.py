"""Checks every hop of a policy against the registered backends: may the data go there at all?

A hop is a target, a fallback or an escalation. The engine would refuse a forbidden hop when it
happens; here the policy is refused before anyone relies on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from routing.engine.branches import CAPABILITY_SIGNALS, Analysis, Branch
from routing.engine.compiled import compile_invariant
from routing.engine.conditions import compile_test
from routing.engine.eligibility import is_wider
from routing.engine.policy import Test
from routing.engine.telling import REASON_WORDS
from routing.engine.types import BackendFacts, SignalValue


@dataclass(frozen=True, slots=True)
class Hop:
    """One backend that a branch can lead to, how, and where the document says so."""

    kind: str
    name: str
    path: str
    first: str


def find(analysis: Analysis) -> None:
    _find_bad_names(analysis)
    for branch in analysis.branches:
        if not branch.is_reachable or branch.outcome.action not in ("route", "escalate"):
            continue
        seen: set[tuple[str, str]] = set()
        for hop in hops_of(analysis, branch):
            if (hop.kind, hop.name) not in seen:
                seen.add((hop.kind, hop.name))
                _judge_hop(analysis, branch, hop)
        _find_incapable(analysis, branch)


def hops_of(analysis: Analysis, branch: Branch) -> Iterator[Hop]:
    """Every registered backend that the branch may reach, by any way."""
    policy, known = analysis.policy, analysis.backends or {}
    outcome = branch.outcome
    targets = [name for name in outcome.targets if name in known] or [
        b.name for b in known.values() if b.tier == outcome.tier and not outcome.targets
    ]
    if not targets:
        return
    first = targets[0]
    for name in targets:
        yield Hop("target", name, f"{branch.path}.then.{outcome.action}.targets", first)
    reached, waiting = set(targets), list(targets)
    while waiting:
        name = waiting.pop(0)
        for after in policy.fallbacks.failure.get(name, ()):
            if after in known:
                yield Hop("fallback", after, f"fallbacks.failure.{name}", first)
                if after not in reached:
                    reached.add(after)
                    waiting.append(after)
    for kind in ("context_window", "content_policy"):
        for name in getattr(policy.fallbacks, kind):
            if name in known:
                yield Hop("fallback", name, f"fallbacks.{kind}", first)
    for tier in {known[name].tier for name in reached}:
        escalation = policy.escalation.get(tier)
        for name in escalation.to if escalation else ():
            if name in known:
                yield Hop("escalation", name, f"escalation.{tier}.to", first)


def _judge_hop(analysis: Analysis, branch: Branch, hop: Hop) -> None:
    backend = (analysis.backends or {})[hop.name]
    if leaves_boundary(analysis, hop):
        message = (
            f"“{branch.name}” starts on the private backend {hop.first}; its {hop.kind} to "
            f"{hop.name} would go to a public one, and is never taken"
        )
        witness = analysis.witness(*branch.reached)
        analysis.add("wider_boundary", hop.path, message, witness=witness)
        return
    for data_class in analysis.classes():
        effective = analysis.policy.registry.stricter(data_class, branch.outcome.data_class)
        if _forbidden_by_invariant(analysis, branch, hop, data_class, effective):
            return
        reason = _not_allowed(backend, effective, analysis.now_s)
        if reason is None:
            continue
        witness = analysis.witness(*branch.reached, analysis.class_is(data_class))
        if witness is None:
            continue
        words = REASON_WORDS[reason].format(data_class=effective)
        is_public = backend.boundary != "private"
        message = (
            f"“{branch.name}” can send {effective} data to {hop.name} ({hop.kind}), which {words}"
        )
        code = "public_not_allowed" if is_public else "data_class"
        analysis.add(code, hop.path, message, blocking=is_public, witness=witness)
        return


def leaves_boundary(analysis: Analysis, hop: Hop) -> bool:
    known = analysis.backends or {}
    if not is_wider(known[hop.name], known[hop.first].boundary):
        return False
    if hop.kind == "escalation":
        escalation = analysis.policy.escalation[hop.path.split(".")[1]]
        return not escalation.cross_boundary
    return hop.kind == "fallback"


def _not_allowed(backend: BackendFacts, data_class: str, now_s: int) -> str | None:
    if data_class not in backend.data_classes:
        return "data_class"
    if backend.boundary == "private":
        return None
    expiry = backend.signoffs.get(data_class)
    if expiry is None:
        return "not_signed_off"
    return "sign_off_expired" if expiry <= now_s else None


def _forbidden_by_invariant(
    analysis: Analysis, branch: Branch, hop: Hop, data_class: str, effective: str
) -> bool:
    """Report the first invariant that a request of this data class breaks on this hop."""
    space = analysis.space
    for place, invariant in enumerate(analysis.policy.invariants):
        of_class = [test for test in invariant.signals if test.signal == "data_class"]
        others = [test for test in invariant.signals if test.signal != "data_class"]
        compiled = compile_invariant(invariant, analysis.policy.registry)
        seen: dict[str, SignalValue] = {"data_class": effective}
        if not compiled.applies_to((analysis.backends or {})[hop.name]):
            continue
        checks = (compile_test(test, analysis.policy.registry) for test in of_class)
        if any(check(seen) is not None for check in checks):
            continue
        witness = analysis.witness(
            *branch.reached,
            analysis.class_is(data_class),
            *(space.formula(test) for test in others),
        )
        if witness is not None:
            message = (
                f"“{branch.name}” can send {effective} data to {hop.name} ({hop.kind}), which "
                f"invariant {place + 1} forbids"
            )
            analysis.add("invariant", hop.path, message, witness=witness)
            return True
    return False


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
        always = analysis.witness(*branch.reached, analysis.space.negated(asked)) is None
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
        if analysis.witness(*branch.reached, fits) is None:
            message = f"every prompt of “{branch.name}” is longer than {hop.name} can read"
            witness = analysis.witness(*branch.reached)
            analysis.add("target_incapable", hop.path, message, witness=witness)
