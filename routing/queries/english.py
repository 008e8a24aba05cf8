"""Policies in plain English for the screens: rules, outcomes, sections, rows of a form, tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from routing.engine.clauses import ClauseReader
from routing.engine.document import parse_policy
from routing.engine.policy import SCHEMA, Outcome, Policy
from routing.engine.policy import Rule as PolicyRule
from routing.engine.registry import Registry
from routing.engine.sections import BACKEND_PROPERTIES
from routing.engine.types import HoldTerms, PolicyError
from routing.engine.wording import condition_words, listed, test_words
from routing.forms.conditions import Conditions
from routing.queries.decision import REASONS, rule_rows, signal_rows
from routing.services.interchange import to_yaml
from routing.services.simulation import Simulated

STAGE_WORDS = {
    "request": "Known from the request",
    "classify": "Estimated by the classifier",
    "runtime": "Known while running",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleWords:
    """One rule as people read it. `when` and `then` are clauses without a full stop."""

    id: str
    name: str
    owner: str
    note: str
    is_enabled: bool
    when: str
    then: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyWords:
    """A whole policy. `faults` say why it could not be read; then the rest is empty."""

    rules: tuple[RuleWords, ...] = ()
    default: str = ""
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    invariants: tuple[str, ...] = ()
    faults: tuple[Any, ...] = ()


def policy_words(document: Mapping[str, Any]) -> PolicyWords:
    try:
        policy = parse_policy(document)
    except PolicyError as error:
        return PolicyWords(faults=tuple(error.findings))
    return PolicyWords(
        rules=tuple(_rule_words(rule, policy.registry) for rule in policy.rules),
        default=outcome_words(policy.default),
        parts=tuple(_parts(policy, document)),
        invariants=tuple(_invariants(policy)),
    )


def _rule_words(rule: PolicyRule, registry: Registry) -> RuleWords:
    return RuleWords(
        id=rule.id,
        name=rule.name,
        owner=rule.owner,
        note=rule.note,
        is_enabled=rule.is_enabled,
        when=condition_words(rule.when, registry),
        then=outcome_words(rule.then),
    )


def rule_words(document: Mapping[str, Any], rule: Mapping[str, Any]) -> RuleWords | None:
    """One stored rule in English, or None where its document cannot be read."""
    return next((one for one in policy_words(document).rules if one.id == rule.get("id")), None)


_ANSWERS = {"safe_default": "give the safe default", "refuse": "refuse", "accept": "accept it"}


def outcome_words(outcome: Outcome) -> str:
    """What an outcome does, as a clause: `route to the SLM: phi-4-mini, then smollm`."""
    words = _action_words(outcome)
    if outcome.data_class:
        words += f", and raise the data class to {outcome.data_class}"
    if outcome.deadline_ms is not None:
        words += f", within {outcome.deadline_ms:,} ms"
    if outcome.max_cost_usd is not None:
        words += f", for at most ${outcome.max_cost_usd.normalize():f}"
    if outcome.on_no_target is not None:
        words += f"; when no target may take it, {outcome_words(outcome.on_no_target)}"
    return words


def _action_words(outcome: Outcome) -> str:
    if outcome.action in ("route", "escalate"):
        verb = "route to" if outcome.action == "route" else "escalate to"
        tier = {"slm": "the SLM", "llm": "the LLM"}.get(outcome.tier or "", "")
        targets = ", then ".join(outcome.targets)
        if tier and targets:
            return f"{verb} {tier}: {targets}"
        return f"{verb} {targets or tier + ', the cheapest backend first'}"
    if outcome.hold is not None:
        return _hold_words(outcome.hold)
    if outcome.action == "safe_default" and outcome.safe_default is not None:
        return f"answer “{outcome.safe_default.text}”"
    if outcome.action == "refuse" and outcome.message:
        return f"refuse with “{outcome.message}”"
    if outcome.action == "next":
        return "go on with the next rule"
    return _ANSWERS.get(outcome.action, outcome.action.replace("_", " "))


def _hold_words(hold: HoldTerms) -> str:
    after = {"pending": "leave it waiting", **_ANSWERS, "next": "go on with the next rule"}
    words = f"hold for a person in the queue “{hold.queue}” for at most {hold.hold_s} s"
    if hold.candidate:
        words += f", with a draft answer of {hold.candidate}"
    if hold.cap_pct is not None:
        words += (
            f", for at most {hold.cap_pct.normalize():f} % of requests "
            f"(beyond that {after[hold.over_cap]})"
        )
    return f"{words}; when nobody comes, {after[hold.on_timeout]}"


def _parts(policy: Policy, document: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The sections beside the rules that the document states, each as sentences."""
    if "fallbacks" in document:
        yield "Fallbacks", tuple(_fallback_words(policy))
    for tier, one in policy.escalation.items():
        words = (
            f"An answer of the {tier.upper()} is accepted when {one.signal.replace('_', ' ')} is "
            f"at least {one.accept_gte.normalize():f}; otherwise {outcome_words(one.on_uncertain)}"
            f"{' to ' + listed(one.to, 'then') if one.to else ''}, and after that "
            f"{outcome_words(one.then)}."
        )
        yield f"Escalation of the {tier.upper()}", (words.replace("escalate to the LLM to", "to"),)
    yield "Safe default", (f"“{policy.safe_default.text}”",)
    if policy.on_classifier_failure:
        yield (
            "Without the classifier",
            tuple(
                f"{'Every other class' if name == 'default' else name.capitalize() + ' data'}: "
                f"{outcome_words(outcome)}."
                for name, outcome in policy.on_classifier_failure.items()
            ),
        )
    limits, session = policy.limits, policy.session
    yield (
        "Limits",
        (
            f"{limits.deadline_ms:,} ms for the whole request, {limits.first_token_ms:,} ms to the "
            f"first token, {limits.stream_idle_ms:,} ms between two pieces, at most "
            f"{limits.attempts} backends.",
        ),
    )
    if session.sticky:
        moves = [
            f"{'may' if allowed else 'may not'} {verb}"
            for verb, allowed in (("rise", session.may_rise), ("fall", session.may_fall))
        ]
        yield (
            "Session",
            (f"A conversation stays on its tier for {session.ttl_s:,} s; it {listed(moves)}.",),
        )


def _fallback_words(policy: Policy) -> Iterator[str]:
    chains = policy.fallbacks
    for name, chain in chains.failure.items():
        yield f"When {name} fails: {', then '.join(chain) or 'nobody else'}."
    if chains.context_window:
        yield f"When the prompt is too long: {', then '.join(chains.context_window)}."
    if chains.content_policy:
        yield f"When a backend refuses the content: {', then '.join(chains.content_policy)}."


def _invariants(policy: Policy) -> Iterator[str]:
    properties = Registry(BACKEND_PROPERTIES, policy.registry.data_classes)
    for one in policy.invariants:
        request = listed([test_words(test, policy.registry) for test in one.signals])
        backend = listed([test_words(test, properties) for test in one.backend])
        about = f"whose {request}" if request else "at all"
        yield f"No request {about} ever reaches a backend whose {backend}."


def field_words(document: Mapping[str, Any], field: str, value: Any) -> str:
    """A field of a rule in English, for the differences between two versions."""
    if value is None:
        return "in force" if field == "enabled" else "not set"
    if field == "enabled":
        return "in force" if value else "switched off"
    if field not in ("when", "then"):
        return str(value)
    rule = {"id": "one", "when": {"all": [{"turns": {"gte": 0}}]}, "then": {"refuse": True}}
    shell = {
        "schema": SCHEMA,
        "route": "one",
        "owner": "one",
        "signals": document.get("signals", {}),
        "rules": [{**rule, field: value}],
        "default": {"then": {"refuse": True}},
    }
    if isinstance(document.get("hold"), Mapping):
        shell["hold"] = document["hold"]
    read = policy_words(shell)
    if not read.rules:
        return to_yaml({field: value}).partition(":")[2].strip()
    return str(getattr(read.rules[0], field))


def failure_words(document: Mapping[str, Any]) -> dict[str, str]:
    """What the document says for each class while the classifier cannot be asked."""
    failing = document.get("on_classifier_failure")
    if not isinstance(failing, Mapping):
        return {}
    return {
        str(name): field_words(document, "then", value)
        for name, value in failing.items()
        if isinstance(value, Mapping)
    }


# what forms show


def condition_rows(conditions: Conditions) -> list[dict[str, Any]]:
    """The rows of a rule's conditions with what the template says of each."""
    return [
        {
            "number": number,
            "form": form,
            "signal": row.signal,
            "origin": "" if row.origin is None else row.origin,
            "words": "" if form else _kept_words(conditions, row.origin),
        }
        for number, (row, form) in enumerate(zip(conditions.rows, conditions.forms, strict=True))
    ]


def _kept_words(conditions: Conditions, origin: int | None) -> str:
    if origin is None:
        return ""
    item = conditions.stored[origin]
    reader = ClauseReader(conditions.registry)
    condition = reader.condition(item, "")
    return condition_words(condition, conditions.registry) if condition else to_yaml({"": item})


def signal_choices(registry: Registry) -> list[tuple[str, list[tuple[str, str]]]]:
    """Every signal that a rule may test, by when it is known, with its sentence."""
    return [
        (
            words,
            [
                (signal.name, f"{signal.words}: {signal.sentence}")
                for signal in registry.signals.values()
                if signal.stage == stage
            ],
        )
        for stage, words in STAGE_WORDS.items()
    ]


# tests and simulation


def test_results(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return []


def decision_words(document: Mapping[str, Any], result: Simulated) -> dict[str, Any]:
    """What the simulation page shows of a decision."""
    decision = result.decision.as_json()
    return {
        "decision": decision,
        "signals": signal_rows(decision["trace"]["signals"]),
        "trace": rule_rows(decision),
        "candidates": [
            {**row, "why": REASONS.get(row["reason"] or "", row["reason"])}
            for row in decision["trace"]["candidates"]
        ],
        "contributions": result.contributions,
    }
