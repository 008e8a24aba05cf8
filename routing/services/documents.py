"""Changes to a policy document as values: each takes one and returns another, nothing is stored.

Everything that a change does not name stays exactly as it was, so that its digest does too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from screens.errors import NotFound

Document = dict[str, Any]

ORDER_OPERATORS = ("lt", "lte", "gt", "gte", "eq", "ne", "between")


def rules_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rules that are readable as mappings, in their order."""
    rules = document.get("rules")
    return [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []


def place_of(document: Mapping[str, Any], rule_id: str) -> int:
    for place, rule in enumerate(rules_of(document)):
        if rule.get("id") == rule_id:
            return place
    raise NotFound(f"This version has no rule named {rule_id!r}.")


def rule_of(document: Mapping[str, Any], rule_id: str) -> dict[str, Any]:
    return rules_of(document)[place_of(document, rule_id)]


def with_rule(document: Document, rule: dict[str, Any], *, replaces: str | None) -> Document:
    """The document with `rule` at the end, or in the place of the rule it replaces."""
    changed = copy.deepcopy(document)
    rules = changed.setdefault("rules", [])
    if replaces is None:
        rules.append(rule)
        return changed
    rules[place_of(changed, replaces)] = rule
    if rule.get("id") != replaces:
        _rename_in_tests(changed, replaces, rule.get("id"))
    return changed


def _rename_in_tests(document: Document, old: str, new: Any) -> None:
    """A test that expects a rule follows it to its new id."""
    for test in document.get("tests") or []:
        expected = test.get("expect") if isinstance(test, dict) else None
        if isinstance(expected, dict) and expected.get("rule") == old:
            expected["rule"] = new


def without_rule(document: Document, rule_id: str) -> Document:
    changed = copy.deepcopy(document)
    del changed["rules"][place_of(changed, rule_id)]
    return changed


def with_rule_moved(document: Document, rule_id: str, *, by: int) -> Document:
    """The rule `by` places further down (negative: up); at either end it stays there."""
    changed = copy.deepcopy(document)
    rules = changed["rules"]
    here = place_of(changed, rule_id)
    there = min(max(0, here + by), len(rules) - 1)
    rules.insert(there, rules.pop(here))
    return changed


def with_rule_enabled(document: Document, rule_id: str, *, enabled: bool) -> Document:
    changed = copy.deepcopy(document)
    rule = rule_of(changed, rule_id)
    if enabled:
        rule.pop("enabled", None)
    else:
        rule["enabled"] = False
    return changed


def with_section(document: Document, name: str, value: Any) -> Document:
    """The document with a section replaced. An empty one is left out if it was not there before."""
    changed = copy.deepcopy(document)
    if value in ({}, [], None, "") and name not in document:
        return changed
    if value is None or value == "":
        changed.pop(name, None)
    else:
        changed[name] = value
    return changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One number that a rule or an escalation compares with; `steps` leads to it."""

    steps: tuple[str | int, ...]
    rule: str
    signal: str
    operator: str
    number: Decimal
    part: str = ""


def thresholds_of(document: Mapping[str, Any]) -> list[Threshold]:
    """Every number of the rules' conditions in their order, then those of the escalations."""
    found: list[Threshold] = []
    for place, rule in enumerate(rules_of(document)):
        found += _numbers(rule.get("when"), ("rules", place, "when"), str(rule.get("id", "")))
    escalations = document.get("escalation")
    for tier, one in escalations.items() if isinstance(escalations, dict) else ():
        steps = ("escalation", tier, "confidence", "accept_gte")
        number = one.get("confidence", {}).get("accept_gte") if isinstance(one, dict) else None
        if _is_number(number):
            found.append(_threshold(steps, f"escalation of {tier}", "confidence", "gte", number))
    return found


def _threshold(
    steps: tuple[str | int, ...], rule: str, signal: str, operator: str, number: Any
) -> Threshold:
    return Threshold(
        steps=steps, rule=rule, signal=signal, operator=operator, number=Decimal(str(number))
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _numbers(when: Any, steps: tuple[str | int, ...], rule: str) -> Iterator[Threshold]:
    if not isinstance(when, dict):
        return
    for key, inner in when.items():
        if key in ("all", "any") and isinstance(inner, list):
            for place, item in enumerate(inner):
                yield from _numbers(item, (*steps, key, place), rule)
        elif key == "not":
            yield from _numbers(inner, (*steps, key), rule)
        elif isinstance(inner, dict):
            yield from _of_comparison(key, inner, (*steps, key), rule)


def _of_comparison(
    signal: str, comparison: dict[str, Any], steps: tuple[str | int, ...], rule: str
) -> Iterator[Threshold]:
    for operator, constant in comparison.items():
        if operator not in ORDER_OPERATORS:
            continue
        if _is_number(constant):
            yield _threshold((*steps, operator), rule, signal, operator, constant)
        elif isinstance(constant, list) and operator == "between":
            for place, number in enumerate(constant):
                if _is_number(number):
                    yield Threshold(
                        steps=(*steps, operator, place),
                        rule=rule,
                        signal=signal,
                        operator=operator,
                        number=Decimal(str(number)),
                        part=("from", "to")[place] if place < 2 else "",
                    )


def with_numbers(document: Document, numbers: Mapping[tuple[str | int, ...], Decimal]) -> Document:
    """The document with these thresholds; the keys are the `steps` of `thresholds_of`."""
    changed = copy.deepcopy(document)
    for steps, number in numbers.items():
        around: Any = changed
        for step in steps[:-1]:
            around = around[step]
        around[steps[-1]] = plain_number(number)
    return changed


def plain_number(number: Decimal) -> int | float:
    """A number as JSON holds it; the canonical form reads both as the same decimal."""
    return int(number) if number == number.to_integral_value() else float(number)


def as_written(before: Any, now: str) -> str:
    """The text as it was stored where a form only trimmed it or changed its line ends."""
    text = now.replace("\r\n", "\n")
    if isinstance(before, str) and before.replace("\r\n", "\n").strip() == text.strip():
        return before
    return text
