"""Checks every hop of a policy: may the data that can come there go there at all?

A hop is a target, a fallback or an escalation. The engine refuses a forbidden hop when it happens;
here the policy is refused before anyone relies on it, with a request that takes the hop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from routing.engine import leaks
from routing.engine.branches import Analysis, Branch, arrivals, capable
from routing.engine.compiled import compile_invariant
from routing.engine.conditions import compile_test, leaves, negations_inward
from routing.engine.eligibility import is_wider
from routing.engine.policy import FAILURE_RULE
from routing.engine.reach import Formula
from routing.engine.registry import CLASSIFIER_SIGNALS
from routing.engine.telling import REASON_WORDS
from routing.engine.types import BackendFacts, Scenario, SignalValue

# For so many rules the way of a hop is looked for in vain; after that none is shown for it.
MOST_IN_VAIN = 3


@dataclass(frozen=True, slots=True)
class Hop:
    """One backend that a branch can lead to, how, and where the document says so."""

    kind: str
    name: str
    path: str
    first: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a hop, and what more a request must be for it."""

    code: str
    message: str
    is_blocking: bool = True
    when: tuple[Formula, ...] = ()


def hops_of(analysis: Analysis, branch: Branch) -> Iterator[Hop]:
    """Every registered backend that the branch may reach, by any way."""
    policy, known = analysis.policy, analysis.backends or {}
    outcome = branch.outcome
    of_tier = sorted(known.values(), key=lambda b: (b.price_in + b.price_out, b.name))
    targets = [name for name in outcome.targets if name in known] or [
        b.name for b in of_tier if b.tier == outcome.tier and not outcome.targets
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


def judge(analysis: Analysis, place: int, hop: Hop) -> None:
    """Report what is worst of a hop: that it leaves the boundary, or whose data it may not take."""
    branch, registry = analysis.branches[place], analysis.policy.registry
    coming = [
        (registry.stricter(arriving, branch.outcome.data_class), reached)
        for arriving, reached in arrivals(analysis, place)
    ]
    coming.sort(key=lambda one: -registry.rank(one[0]))
    for data_class, reached in coming:
        for fault in _faults(analysis, branch, hop, data_class):
            if _report(analysis, branch, hop, fault, (*reached, *fault.when)):
                return


def _report(
    analysis: Analysis, branch: Branch, hop: Hop, fault: Fault, reached: tuple[Formula, ...]
) -> bool:
    """Add the finding, if there is such a request at all, with one that takes the hop if any."""
    witness = analysis.witness(*reached)
    if witness is None:
        return False
    scenario = None
    if analysis.in_vain[hop.path, hop.name] < MOST_IN_VAIN:
        scenario = _searched(analysis, branch, hop, reached)
        analysis.in_vain[hop.path, hop.name] += scenario is None
    if scenario is not None:
        witness = dict(scenario.signals)
    analysis.add(
        fault.code,
        hop.path,
        fault.message,
        blocking=fault.is_blocking,
        witness=witness,
        scenario=scenario,
    )
    return True


def _searched(
    analysis: Analysis, branch: Branch, hop: Hop, reached: tuple[Formula, ...]
) -> Scenario | None:
    tried: list[dict[str, SignalValue]] = []
    for formulas in _closer(analysis, branch, hop, reached):
        candidate = analysis.witness(*formulas)
        if candidate is not None and candidate not in tried:
            tried.append(candidate)
            found = _scenario(analysis, branch, hop, candidate)
            if found is not None:
                return found
    return None


def _closer(
    analysis: Analysis, branch: Branch, hop: Hop, reached: tuple[Formula, ...]
) -> Iterator[tuple[Formula, ...]]:
    """Requests that say as little as they can, then those that the backends are able to take."""
    known = analysis.backends or {}
    able, first = capable(analysis, known[hop.name]), capable(analysis, known[hop.first])
    ways: list[tuple[Formula, ...]] = [()]
    if branch.id == FAILURE_RULE:
        # Only a rule that needed the classifier leads there.
        ways = [(other.own,) for other in analysis.branches if _needs_classifier(analysis, other)]
    for more in ways:
        yield (*reached, *more)
        yield (*reached, *more, *able)
        yield (*reached, *more, *able, *first)


def _needs_classifier(analysis: Analysis, branch: Branch) -> bool:
    rules = {rule.id: rule for rule in analysis.policy.rules}
    if branch.id not in rules:
        return False
    tested = {test.signal for test in leaves(negations_inward(rules[branch.id].when))}
    return not tested.isdisjoint(CLASSIFIER_SIGNALS)


def _scenario(
    analysis: Analysis, branch: Branch, hop: Hop, witness: dict[str, SignalValue]
) -> Scenario | None:
    """The way on which this request takes the hop: with as little set aside as it needs."""
    known = analysis.backends or {}
    kind, _, via = hop.path.removeprefix("fallbacks.").partition(".")
    start = Scenario(
        backend=hop.name,
        rule=branch.id,
        way=kind if hop.kind == "fallback" else hop.kind,
        via=via if hop.kind == "fallback" else "",
        signals=witness,
        opened=(hop.name,),
        classifier_failed=branch.id == FAILURE_RULE,
    )
    outside = {name for name, one in known.items() if one.boundary != "private"}
    assumptions = [(start.opened, True), (tuple(sorted({*outside, hop.name})), True)]
    if not leaves_boundary(analysis, hop):
        assumptions.insert(0, (start.opened, False))
    for opened, is_unbounded in assumptions:
        assumed = replace(start, opened=opened, is_unbounded=is_unbounded)
        before = analysis.ways.get((hop.path, hop.name))
        found = leaks.find(analysis.compiled(), assumed, known, now_s=analysis.now_s, like=before)
        if found is not None:
            analysis.ways[hop.path, hop.name] = found
            return found
    return None


def leaves_boundary(analysis: Analysis, hop: Hop) -> bool:
    known = analysis.backends or {}
    if not is_wider(known[hop.name], known[hop.first].boundary):
        return False
    if hop.kind == "escalation":
        escalation = analysis.policy.escalation[hop.path.split(".")[1]]
        return not escalation.cross_boundary
    return hop.kind == "fallback"


def _faults(analysis: Analysis, branch: Branch, hop: Hop, data_class: str) -> Iterator[Fault]:
    if leaves_boundary(analysis, hop):
        yield Fault(
            "wider_boundary",
            f"“{branch.name}” starts on the private backend {hop.first}; its {hop.kind} to "
            f"{hop.name} would take {data_class} data to a public one, and is never taken",
        )
        return
    yield from _faults_of_invariants(analysis, branch, hop, data_class)
    fault = _fault_of_class(analysis, branch, hop, data_class)
    if fault is not None:
        yield fault


def _fault_of_class(analysis: Analysis, branch: Branch, hop: Hop, data_class: str) -> Fault | None:
    backend = (analysis.backends or {})[hop.name]
    reason = _not_allowed(backend, data_class, analysis.now_s)
    if reason is None:
        return None
    words = REASON_WORDS[reason].format(data_class=data_class)
    is_public = backend.boundary != "private"
    return Fault(
        "public_not_allowed" if is_public else "data_class",
        f"“{branch.name}” can send {data_class} data to {hop.name} ({hop.kind}), which {words}",
        is_blocking=is_public,
    )


def _faults_of_invariants(
    analysis: Analysis, branch: Branch, hop: Hop, data_class: str
) -> Iterator[Fault]:
    """Every invariant that a request of this data class can break on this hop."""
    backend = (analysis.backends or {})[hop.name]
    for place, invariant in enumerate(analysis.policy.invariants):
        of_class = [test for test in invariant.signals if test.signal == "data_class"]
        others = [test for test in invariant.signals if test.signal != "data_class"]
        compiled = compile_invariant(invariant, analysis.policy.registry)
        seen: dict[str, SignalValue] = {"data_class": data_class}
        if not compiled.applies_to(backend):
            continue
        checks = (compile_test(test, analysis.policy.registry) for test in of_class)
        if any(check(seen) is not None for check in checks):
            continue
        yield Fault(
            "invariant",
            f"“{branch.name}” can send {data_class} data to {hop.name} ({hop.kind}), which "
            f"invariant {place + 1} forbids",
            when=tuple(analysis.space.formula(test) for test in others),
        )


def _not_allowed(backend: BackendFacts, data_class: str, now_s: int) -> str | None:
    if data_class not in backend.data_classes:
        return "data_class"
    if backend.boundary == "private":
        return None
    expiry = backend.signoffs.get(data_class)
    if expiry is None:
        return "not_signed_off"
    return "sign_off_expired" if expiry <= now_s else None
