"""A policy version made ready for deciding: everything that does not depend on the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from routing.engine.conditions import Check, compile_condition, leaves, negations_inward
from routing.engine.policy import DEFAULT_RULE, Condition, Invariant, Outcome, Policy
from routing.engine.registry import FIRST_REGISTRY, Registry
from routing.engine.sections import BACKEND_PROPERTIES, STANDING_SAFE_DEFAULT
from routing.engine.types import BackendFacts, Limits, RuleTrace, SignalValue
from routing.engine.wording import Observation

# The strictest outcome first wins where a signal that was needed could not be measured.
STRICTNESS = {"refuse": 4, "hold": 3, "safe_default": 2}


@dataclass(frozen=True, slots=True)
class CompiledRule:
    id: str
    name: str
    check: Check
    condition: Condition
    outcome: Outcome
    limits: Limits
    observations: tuple[tuple[Check, Observation], ...]
    matched: RuleTrace
    not_reached: RuleTrace


@dataclass(frozen=True, slots=True)
class CompiledInvariant:
    signals: tuple[Check, ...]
    backend: tuple[Check, ...]
    only_data_class: bool

    def holds(self, signals: Mapping[str, SignalValue]) -> bool:
        return all(check(signals) is None for check in self.signals)

    def applies_to(self, backend: BackendFacts) -> bool:
        seen: dict[str, SignalValue] = {
            "boundary": backend.boundary,
            "tier": backend.tier,
            "backend": backend.name,
            "region": backend.region,
        }
        return all(check(seen) is None for check in self.backend)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPolicy:
    """What `decide()` takes. `label` is `route@number`."""

    policy: Policy
    number: int
    digest: str
    label: str
    route: str
    registry: Registry
    rules: tuple[CompiledRule, ...]
    default: CompiledRule
    invariants: tuple[CompiledInvariant, ...]
    tier_targets: Mapping[str, tuple[str, ...]]
    no_target: Outcome


def compile_policy(policy: Policy, *, number: int, digest: str) -> CompiledPolicy:
    """Compile once per version; the result is shared by every request."""
    rules = tuple(
        _rule(policy, rule.id, rule.name, rule.when, rule.then)
        for rule in policy.rules
        if rule.is_enabled
    )
    # Where the document names no other way out, its safe default answers; without one, nobody.
    states_safe_default = policy.safe_default is not STANDING_SAFE_DEFAULT
    return CompiledPolicy(
        policy=policy,
        number=number,
        digest=digest,
        label=f"{policy.route}@{number}",
        route=policy.route,
        registry=policy.registry,
        rules=rules,
        default=_rule(policy, DEFAULT_RULE, "Default", None, policy.default),
        invariants=tuple(compile_invariant(one, policy.registry) for one in policy.invariants),
        tier_targets=tier_targets(policy),
        no_target=Outcome(action="safe_default" if states_safe_default else "refuse"),
    )


def _rule(
    policy: Policy, rule_id: str, name: str, when: Condition | None, outcome: Outcome
) -> CompiledRule:
    registry = policy.registry
    limits = policy.limits
    if outcome.deadline_ms is not None:
        limits = replace(limits, deadline_ms=outcome.deadline_ms)
    condition = None if when is None else negations_inward(when)
    observations: tuple[Any, ...] = ()
    if condition is not None:
        observations = tuple(
            (compile_condition(test, registry), Observation(test, registry))
            for test in leaves(condition)
        )
    return CompiledRule(
        id=rule_id,
        name=name,
        check=(lambda signals: None)
        if condition is None
        else compile_condition(condition, registry),
        condition=condition,  # type: ignore[arg-type]  # the default is never asked for its own
        outcome=outcome,
        limits=limits,
        observations=observations,
        matched=RuleTrace(rule_id, name, "matched", None),
        not_reached=RuleTrace(rule_id, name, "not_reached", None),
    )


def compile_outcome(
    policy: CompiledPolicy, rule_id: str, name: str, outcome: Outcome
) -> CompiledRule:
    """An outcome that no rule of the document states, as if one did."""
    return _rule(policy.policy, rule_id, name, None, outcome)


def compile_invariant(invariant: Invariant, registry: Registry) -> CompiledInvariant:
    properties = Registry(BACKEND_PROPERTIES, FIRST_REGISTRY.data_classes)
    return CompiledInvariant(
        signals=tuple(compile_condition(test, registry) for test in invariant.signals),
        backend=tuple(compile_condition(test, properties) for test in invariant.backend),
        only_data_class=all(test.signal == "data_class" for test in invariant.signals),
    )


def tier_targets(policy: Policy) -> dict[str, tuple[str, ...]]:
    """Where a session that must stay on a tier goes: escalation first, the default, the rules."""
    found: dict[str, list[str]] = {"slm": [], "llm": []}
    for escalation in policy.escalation.values():
        found["llm"] += escalation.to
    for outcome in (policy.default, *(rule.then for rule in policy.rules if rule.is_enabled)):
        if outcome.tier in found:
            found[outcome.tier] += outcome.targets
    return {tier: tuple(dict.fromkeys(names)) for tier, names in found.items()}


def strictness(outcome: Outcome, backends: Mapping[str, BackendFacts]) -> int:
    """Refuse is the strictest, then a person, the safe answer, private backends, public ones."""
    fixed = STRICTNESS.get(outcome.action)
    if fixed is not None:
        return fixed
    known = [backends[name] for name in outcome.targets if name in backends]
    is_private = bool(known) and all(backend.boundary == "private" for backend in known)
    return 1 if is_private else 0
