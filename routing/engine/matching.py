"""Finds the rule that decides, with the trace of those before it.

Where a signal that a rule needed could not be measured, the strictest reading of the policy holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from routing.engine.compiled import CompiledPolicy, CompiledRule, compile_outcome, strictness
from routing.engine.conditions import compile_test, may_hold
from routing.engine.policy import FAILURE_RULE, Outcome, Test
from routing.engine.registry import CLASSIFIER_SIGNALS
from routing.engine.types import BackendFacts, Facts, RuleTrace, SignalValue


class Matching:
    """What is known of one request while its rule is looked for."""

    __slots__ = (
        "backends",
        "cause",
        "data_class",
        "facts",
        "failed",
        "policy",
        "rules",
        "signals",
    )

    def __init__(
        self, policy: CompiledPolicy, facts: Facts, backends: Mapping[str, BackendFacts]
    ) -> None:
        self.policy = policy
        self.facts = facts
        self.backends = backends
        self.data_class = facts.data_class
        self.signals: dict[str, SignalValue] = {**facts.signals, "data_class": facts.data_class}
        self.failed = facts.failed_signals
        if facts.classifier_failed:
            self.failed = self.failed | CLASSIFIER_SIGNALS
        for name in self.failed:
            self.signals.pop(name, None)
        self.rules: list[RuleTrace] = []
        self.cause = ""

    # rules

    def match(self, start: int) -> CompiledRule:
        """The first rule from `start` on that holds, else the default; the way is traced."""
        if self.failed:
            return self._match_without(start)
        signals, traced, new = self.signals, self.rules, tuple.__new__
        for rule in self.policy.rules[start:] if start else self.policy.rules:
            failing = rule.check(signals)
            if failing is None:
                traced.append(rule.matched)
                return rule
            traced.append(new(RuleTrace, (rule.id, rule.name, "no_match", failing)))
        return self.policy.default

    def _match_without(self, start: int) -> CompiledRule:
        """As `match`, where signals failed: a rule that needed one brings the strictest reading."""
        undecided: list[CompiledRule] = []
        needed: set[str] = set()
        settled = self.policy.default
        for rule in self.policy.rules[start:]:
            failing = rule.check(self.signals)
            if failing is None:
                self.rules.append(rule.matched)
                settled = rule
                break
            self.rules.append(RuleTrace(rule.id, rule.name, "no_match", failing))
            if may_hold(rule.condition, self._holds, self.failed):
                undecided.append(rule)
                needed |= self.failed.intersection(
                    observation.signal for _, observation in rule.observations
                )
        return self._strictest(undecided, settled, needed) if undecided else settled

    def _holds(self, test: Test) -> bool:
        return compile_test(test, self.policy.registry)(self.signals) is None

    def _strictest(
        self, undecided: list[CompiledRule], settled: CompiledRule, needed: set[str]
    ) -> CompiledRule:
        self.cause = "classifier_unavailable"
        possible = [*undecided, settled]
        for rule in possible:
            self.raise_class(rule.outcome)
        configured = self._on_failure() if needed <= CLASSIFIER_SIGNALS else None
        if configured is not None:
            possible = [configured, settled]
        # `max` keeps the first of equals: the configured way out, or the earlier rule.
        return max(possible, key=lambda rule: strictness(rule.outcome, self.backends))

    def _on_failure(self) -> CompiledRule | None:
        stated = self.policy.policy.on_classifier_failure
        outcome = stated.get(self.data_class) or stated.get("default")
        if outcome is None:
            return None
        return compile_outcome(self.policy, FAILURE_RULE, "On classifier failure", outcome)

    def raise_class(self, outcome: Outcome) -> None:
        """A rule may raise the data class of its requests, and never lower it."""
        if outcome.data_class is not None:
            self.data_class = self.policy.registry.stricter(self.data_class, outcome.data_class)
