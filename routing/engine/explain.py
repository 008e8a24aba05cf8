"""A policy in English, and what would have to be different for another rule to decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from routing.engine.compiled import CompiledPolicy
from routing.engine.conditions import compile_test
from routing.engine.policy import Condition, Outcome, Policy, Rule, Test
from routing.engine.registry import Registry, shown_number
from routing.engine.telling import TIER_WORDS
from routing.engine.types import Facts, HoldTerms, SignalValue
from routing.engine.wording import condition_words, listed
from routing.engine.wording import test_words as comparison_words

_TIMEOUT_WORDS = {
    "safe_default": "then the safe default answers",
    "refuse": "then it is refused",
    "pending": "then the caller is told that it is pending",
}
_WORDS = {
    "safe_default": "give the safe default",
    "refuse": "refuse",
    "next": "go on with the next rule",
    "accept": "accept the answer",
    "escalate": "escalate",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What keeps one rule from matching: every clause of `needed` would have to hold."""

    rule: str
    name: str
    needed: tuple[str, ...]
    now: tuple[str, ...]


def rule_words(rule: Rule, registry: Registry) -> str:
    """`If data class is restricted: go to the larger model (private-llama-70b).`"""
    return f"If {condition_words(rule.when, registry)}: {outcome_words(rule.then)}."


def outcome_words(outcome: Outcome) -> str:
    """What an outcome does, as a clause that begins with a verb."""
    parts = [_action_words(outcome)]
    if outcome.data_class is not None:
        parts.append(f"treat the data as at least {outcome.data_class}")
    if outcome.deadline_ms is not None:
        parts.append(f"answer within {outcome.deadline_ms:,} ms")
    if outcome.max_cost_usd is not None:
        parts.append(f"spend at most {shown_number(outcome.max_cost_usd)} USD")
    if not outcome.sticky:
        parts.append("do not bind the session to it")
    if not outcome.shadow:
        parts.append("keep it from shadow versions")
    if outcome.on_no_target is not None:
        parts.append(f"if no backend may take it, {outcome_words(outcome.on_no_target)}")
    return "; ".join(parts)


def _action_words(outcome: Outcome) -> str:
    if outcome.action in ("route", "escalate"):
        verb = "escalate to" if outcome.action == "escalate" else "go to"
        where = listed(outcome.targets, "then")
        if outcome.tier is None:
            return f"{verb} {where}"
        tier = f"the {TIER_WORDS[outcome.tier]}"
        return f"{verb} {tier} ({where})" if where else f"{verb} {tier}, the cheapest first"
    if outcome.action == "hold" and outcome.hold is not None:
        return _hold_words(outcome.hold)
    if outcome.message:
        return f"refuse with “{outcome.message}”"
    return _WORDS[outcome.action]


def _hold_words(hold: HoldTerms) -> str:
    said = f"hold for a person in “{hold.queue}” for at most {hold.hold_s} s"
    said += f", {_TIMEOUT_WORDS[hold.on_timeout]}"
    if hold.candidate:
        said += f"; {hold.candidate} drafts an answer"
    if hold.cap_pct is not None:
        said += f"; at most {shown_number(hold.cap_pct)} % of requests, beyond that "
        said += _WORDS[hold.over_cap]
    return said


def policy_lines(policy: Policy) -> tuple[str, ...]:
    """The whole policy, one sentence a line, in the order in which it is applied."""
    registry = policy.registry
    lines = [
        f"{place}. {rule.name}: {rule_words(rule, registry)}"
        + ("" if rule.is_enabled else " (off)")
        for place, rule in enumerate(policy.rules, 1)
    ]
    lines.append(f"Otherwise: {outcome_words(policy.default)}.")
    lines += _hop_lines(policy)
    lines += [
        f"If the classifier fails and {_class_words(name)}: {outcome_words(outcome)}."
        for name, outcome in policy.on_classifier_failure.items()
    ]
    for invariant in policy.invariants:
        tests = [comparison_words(test, registry) for test in invariant.signals]
        tests += [comparison_words(test, registry) for test in invariant.backend]
        lines.append(f"Never: {listed(tests)}.")
    limits = policy.limits
    lines.append(
        f"An answer takes at most {limits.deadline_ms:,} ms and {limits.attempts} backends; "
        f"the first token at most {limits.first_token_ms:,} ms."
    )
    return tuple(lines)


def _class_words(name: str) -> str:
    return "nothing else is said" if name == "default" else f"data class is {name}"


def _hop_lines(policy: Policy) -> list[str]:
    fallbacks = policy.fallbacks
    lines = [
        f"If {name} fails: {listed(chain, 'then')}."
        for name, chain in fallbacks.failure.items()
        if chain
    ]
    if fallbacks.context_window:
        lines.append(f"If the prompt is too long: {listed(fallbacks.context_window, 'then')}.")
    if fallbacks.content_policy:
        lines.append(f"If a backend declines: {listed(fallbacks.content_policy, 'then')}.")
    for tier, terms in policy.escalation.items():
        unsure = (
            f"escalate to {listed(terms.to, 'then')}, else {outcome_words(terms.then)}"
            if terms.on_uncertain.action == "escalate"
            else outcome_words(terms.on_uncertain)
        )
        lines.append(
            f"If the {TIER_WORDS[tier]}'s confidence ({terms.signal}) is below "
            f"{shown_number(terms.accept_gte)}: {unsure}."
        )
    session = policy.session
    if session.sticky:
        moves = [
            f"may {'' if may else 'not '}{verb}"
            for may, verb in ((session.may_rise, "rise"), (session.may_fall, "fall"))
        ]
        lines.append(f"A session keeps its tier for {session.ttl_s:,} s; it {' and '.join(moves)}.")
    return lines


def changes(policy: CompiledPolicy, facts: Facts) -> tuple[Change, ...]:
    """For each rule that does not match: the fewest comparisons that would have to turn out true.

    Clauses name signals and constants, never a personal value. Rules are in their order.
    """
    signals: dict[str, SignalValue] = {**facts.signals, "data_class": facts.data_class}
    registry = policy.registry
    found: list[Change] = []
    for rule in policy.rules:
        missing = _missing(rule.condition, signals, registry)
        if missing:
            found.append(
                Change(
                    rule.id,
                    rule.name,
                    tuple(comparison_words(test, registry) for test in missing),
                    tuple(_now(test, signals, registry) for test in missing),
                )
            )
    return tuple(found)


def _missing(
    condition: Condition, signals: Mapping[str, SignalValue], registry: Registry
) -> tuple[Test, ...]:
    """The comparisons that are false and needed; of alternatives, those of the nearest one."""
    if isinstance(condition, Test):
        holds = compile_test(condition, registry)(signals) is None
        return () if holds else (condition,)
    parts = [_missing(item, signals, registry) for item in condition.items]
    if condition.kind == "all":
        return tuple(test for part in parts for test in part)
    return min(parts, key=len)


def _now(test: Test, signals: Mapping[str, SignalValue], registry: Registry) -> str:
    signal = registry.get(test.signal)
    words = signal.words if signal else test.signal
    if test.signal not in signals:
        return f"{words} is not known"
    if signal is None or signal.is_personal:
        return f"{words} is withheld"
    value = signals[test.signal]
    if isinstance(value, bool):
        return comparison_words(Test(test.signal, "eq", value), registry)
    if isinstance(value, frozenset):
        return f"{words} has {listed(sorted(value)) or 'nothing'}"
    return f"{words} is {value if isinstance(value, str) else shown_number(value)}"
