"""Policies in plain English for the screens: rules, outcomes, sections, rows of a form, tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routing.engine.clauses import ClauseReader
from routing.engine.document import parse_policy
from routing.engine.explain import outcome_words, policy_lines
from routing.engine.policy import SCHEMA, Policy
from routing.engine.policy import Rule as PolicyRule
from routing.engine.registry import Registry
from routing.engine.types import Finding, PolicyError, plain
from routing.engine.wording import condition_words, listed
from routing.forms.condition_tree import KEPT, Node
from routing.forms.conditions import Conditions
from routing.queries.decision import REASONS, rule_rows, said, signal_rows
from routing.services import analysis
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
        parts=tuple(_parts(policy)),
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


_PARTS = (
    ("Never: ", ""),
    ("If the classifier fails", "Without the classifier"),
    ("A session", "Session"),
    ("An answer takes", "Limits"),
    ("If ", "After a failure or a doubt"),
)


def _parts(policy: Policy) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The sections beside the rules, as the engine says them, under a heading each."""
    found: dict[str, list[str]] = {}
    for line in policy_lines(policy)[len(policy.rules) + 1 :]:
        title = next((title for start, title in _PARTS if line.startswith(start)), "Else")
        if title:
            found.setdefault(title, []).append(line)
    found["Safe default"] = [f"“{policy.safe_default.text}”"]
    yield from ((title, tuple(lines)) for title, lines in found.items())


def _invariants(policy: Policy) -> Iterator[str]:
    yield from (line for line in policy_lines(policy) if line.startswith("Never: "))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One invariant: proved for every possible request, or broken on a way that `why` names."""

    words: str
    is_proved: bool
    why: str


def proofs(english: PolicyWords, findings: Sequence[Finding]) -> list[Proof]:
    """Whether each invariant holds, from the findings of the analysis."""
    undecided = next((one.message for one in findings if one.code == "undecided"), "")
    found = []
    for number, words in enumerate(english.invariants, 1):
        broken = next(
            (
                one.message
                for one in findings
                if one.code == "invariant" and f"invariant {number} forbids" in one.message
            ),
            undecided,
        )
        found.append(Proof(words=words, is_proved=not broken, why=broken))
    return found


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
    """The conditions of a rule as the template shows them, groups with their own `rows`."""
    focus = conditions.focus

    def row(node: Node) -> dict[str, Any]:
        return {
            "node": node,
            "focus": focus[1] if focus is not None and focus[0] is node else "",
            "words": _kept_words(conditions, node) if node.kind == KEPT else "",
            "rows": [row(item) for item in node.items],
        }

    return [row(node) for node in conditions.root.items]


def _kept_words(conditions: Conditions, node: Node) -> str:
    item = conditions.stored_at(node.origin)
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


def test_results(document: Mapping[str, Any], floor: str) -> list[dict[str, Any]]:
    """The tests that the document carries, with what came and what was expected."""
    try:
        policy = parse_policy(document)
    except PolicyError:
        return []
    return [
        {
            "name": result.name,
            "passed": result.passed,
            "message": listed(result.wrong),
            "given": _pairs(example.given),
            "expect": _pairs(example.expect),
        }
        for result, example in zip(
            analysis.test_results(policy, floor=floor), policy.tests, strict=True
        )
    ]


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {said(plain(v))}" for name, v in values.items())


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
        "nearest": result.nearest,
    }
