"""Runs the tests that a policy document carries: at save, in CI and at import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from routing.engine.compiled import compile_policy
from routing.engine.decide import decide
from routing.engine.policy import Example, Outcome, Policy
from routing.engine.types import BackendFacts, Decision, Facts

_CAPABILITIES = frozenset({"tools", "images", "json", "stream", "logprobs", "embeddings"})


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test of a document. `wrong` says for each failed expectation what came instead."""

    __test__ = False

    number: int
    name: str
    passed: bool
    wrong: tuple[str, ...]
    decision: Decision


def run_tests(
    policy: Policy,
    backends: Mapping[str, BackendFacts] | None = None,
    *,
    now_s: int = 0,
    floor: str | None = None,
) -> tuple[TestResult, ...]:
    """Decide every example of the document. Without backends, all that it names are at hand.

    A test that gives no data class has the route's (`floor`), else the strictest.
    """
    known = stand_ins(policy) if backends is None else backends
    version = compile_policy(policy, number=0, digest="")
    results = []
    for number, example in enumerate(policy.tests, 1):
        given = example.given.get("data_class")
        data_class = given if isinstance(given, str) else floor or policy.registry.data_classes[-1]
        facts = Facts(
            signals=example.given,
            data_class=data_class,
            now_s=now_s,
            boundary_ceiling="public",
            classifier_failed=example.classifier_failed,
        )
        decision = decide(version, facts, known)
        wrong = _wrong(example, outcome_of(policy, decision))
        results.append(TestResult(number, example.name, not wrong, wrong, decision))
    return tuple(results)


def _action_of(policy: Policy, decision: Decision) -> str:
    """The outcome in the document's words: an escalation is a route that a rule calls so."""
    rule = next((rule for rule in policy.rules if rule.id == decision.rule), None)
    outcome = rule.then if rule else policy.default
    escalates = decision.action == "route" and outcome.action == "escalate"
    return "escalate" if escalates else decision.action


def outcome_of(policy: Policy, decision: Decision) -> dict[str, str | None]:
    """What a test may expect of a decision, as it came."""
    return {
        "rule": decision.rule,
        "outcome": _action_of(policy, decision),
        "tier": decision.tier,
        "backend": decision.backend,
        "cause": decision.cause,
        "queue": decision.hold.queue if decision.hold else None,
    }


def _wrong(example: Example, seen: Mapping[str, str | None]) -> tuple[str, ...]:
    return tuple(
        f"expected {name} {wanted}, got {seen[name] or 'none'}"
        for name, wanted in example.expect.items()
        if seen[name] != wanted
    )


def stand_ins(policy: Policy) -> dict[str, BackendFacts]:
    """Every backend that the document names, private, healthy and able to do everything."""
    tiers: dict[str, str] = {}
    outcomes: list[Outcome] = [rule.then for rule in policy.rules]
    outcomes += [policy.default, *policy.on_classifier_failure.values()]
    for outcome in outcomes:
        for name in outcome.targets:
            tiers.setdefault(name, outcome.tier or "llm")
    for escalation in policy.escalation.values():
        tiers.update(dict.fromkeys(escalation.to, "llm"))
    fallbacks = policy.fallbacks
    chains = (*fallbacks.failure.values(), fallbacks.context_window, fallbacks.content_policy)
    for chain in chains:
        for name in chain:
            tiers.setdefault(name, "llm")
    return {
        name: BackendFacts(
            name=name,
            tier=tier,
            boundary="private",
            context_window=1_000_000,
            capabilities=_CAPABILITIES,
            data_classes=frozenset(policy.registry.data_classes),
        )
        for name, tier in tiers.items()
    }
