"""What a change of decision means to people: one bucket each, and the guardrails it crosses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from routing.engine.compiled import CompiledPolicy
from routing.engine.eligibility import invariants_on, may_send
from routing.engine.types import BackendFacts, Decision, Facts

# The most consequential first; every pair of outcomes falls into exactly one.
BUCKETS: Final = {
    "moved_public": "Moved to a public backend",
    "newly_refused": "Newly refused",
    "newly_safe_default": "Newly given the safe default",
    "newly_held": "Newly held for a person",
    "no_longer_held": "No longer held",
    "moved_small": "Moved to the small model",
    "moved_larger": "Moved to the larger model",
    "newly_answered": "Newly answered",
    "moved_private": "Moved from a public to a private backend",
    "other_backend": "Other backend of the same tier",
    "same": "Same",
    "could_not_evaluate": "Could not evaluate",
}
GUARDRAILS: Final = {
    "egress": "A backend would be used that may not receive the request",
    "invariant": "An invariant of the version of its time would be broken",
    "newly_public": "Data of the stricter classes would newly go to a public backend",
    "class_lowered": "The request would count as less sensitive than it did",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The part of a decision that people compare."""

    action: str
    backend: str
    tier: str
    boundary: str
    rule: str
    data_class: str

    @classmethod
    def of(cls, decision: Mapping[str, Any]) -> Outcome:
        """Of a decision as it is recorded."""
        return cls(
            action=str(decision["action"]),
            backend=str(decision["backend"] or ""),
            tier=str(decision["tier"] or ""),
            boundary=str(decision.get("boundary") or ""),
            rule=str(decision["rule"]),
            data_class=str(decision["data_class"]),
        )

    @property
    def is_public(self) -> bool:
        return self.action == "route" and self.boundary != "private"

    @property
    def words(self) -> str:
        if self.action == "route":
            return f"{self.backend} ({self.tier}, {self.boundary})"
        return {"hold": "held for a person", "refuse": "refused"}.get(self.action, "safe default")

    @property
    def place(self) -> str:
        """The row or column of a confusion table: where the request went, without names."""
        if self.action == "route":
            return f"{self.tier}, {self.boundary}"
        return {"hold": "held", "refuse": "refused"}.get(self.action, "safe default")


def bucket_of(before: Outcome, after: Outcome) -> str:
    """The one bucket of a pair of outcomes; the first that fits, in the order of consequence."""
    if after.is_public and not before.is_public:
        return "moved_public"
    if after.action != before.action:
        ended = {"refuse": "newly_refused", "safe_default": "newly_safe_default"}
        if after.action in ended:
            return ended[after.action]
        if after.action == "hold":
            return "newly_held"
        return "no_longer_held" if before.action == "hold" else "newly_answered"
    if after.action != "route":
        return "same"
    if after.tier != before.tier:
        return "moved_small" if after.tier == "slm" else "moved_larger"
    if before.is_public and not after.is_public:
        return "moved_private"
    return "same" if after.backend == before.backend else "other_backend"


def guardrails(
    before: Outcome,
    now: Decision,
    facts: Facts,
    backends: Mapping[str, BackendFacts],
    policies: Sequence[CompiledPolicy],
) -> tuple[str, ...]:
    """The guardrails that a decision crosses. `policies` are those whose invariants must hold."""
    order = policies[0].registry.data_classes
    after = Outcome.of(now.as_json())
    found = dict.fromkeys(_egress(now, facts, backends, policies))
    strictness = {name: place for place, name in enumerate(order)}
    rank = strictness.get(now.data_class, len(order))
    # The stricter half of the classes: with the usual four, confidential and restricted.
    if after.is_public and not before.is_public and rank >= len(order) // 2:
        found["newly_public"] = None
    if rank < strictness.get(before.data_class, rank):
        found["class_lowered"] = None
    return tuple(name for name in GUARDRAILS if name in found)


def _egress(
    now: Decision,
    facts: Facts,
    backends: Mapping[str, BackendFacts],
    policies: Sequence[CompiledPolicy],
) -> Iterator[str]:
    for name in (now.backend, *now.plan):
        backend = backends.get(name) if name else None
        if backend is None:
            continue
        if may_send(backend, now.data_class, facts.now_s, facts.boundary_ceiling, facts.killed):
            yield "egress"
        for policy in policies:
            on = invariants_on(facts, now.data_class, policy)
            if any(invariant.applies_to(backend) for invariant in on):
                yield "invariant"


def signals_of(policy: CompiledPolicy) -> frozenset[str]:
    """The signals that the rules in force and the invariants of a policy test."""
    tested = {observation.signal for rule in policy.rules for _, observation in rule.observations}
    tested |= {test.signal for one in policy.policy.invariants for test in one.signals}
    return frozenset(tested)
