"""Conditions and observed values in English. No prompt text and no personal value appears here."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from routing.engine.policy import Condition, Test
from routing.engine.registry import BOOL, OPEN_ENUM, Registry, Signal, shown_number
from routing.engine.types import WITHHELD

# Signals that read better with a subject and a unit of their own.
_SUBJECT = {"prompt_tokens": "prompt has", "turns": "conversation has"}
_UNIT = {"prompt_tokens": " tokens", "turns": " user turns", "budget_left_pct": " %"}
_TRUTHS = {
    "unfamiliar": ("request is unfamiliar", "request is familiar"),
    "has_code": ("last turn has code", "last turn has no code"),
    "has_tools": ("request offers tools", "request offers no tools"),
    "has_images": ("request has images", "request has no images"),
    "wants_json": ("request wants JSON", "request does not want JSON"),
}
_COMPARED = {
    "lt": "below",
    "lte": "at most",
    "gt": "above",
    "gte": "at least",
    "eq": "",
    "ne": "not",
}


def listed(items: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return shown_number(value)
    if isinstance(value, (frozenset, set)):
        return listed(sorted(map(str, value))) or "none"
    return str(value)


def test_words(test: Test, registry: Registry) -> str:
    """One comparison as a clause: `gain is at most 0.04`."""
    signal = registry.get(test.signal)
    words = signal.words if signal else test.signal
    operator, constant = test.operator, test.constant
    if operator in ("present", "absent"):
        return f"{words} is {'known' if operator == 'present' else 'not known'}"
    if signal is not None and signal.kind == BOOL:
        is_true = constant is (operator == "eq")
        yes, no = _TRUTHS.get(signal.name, (f"{words} is true", f"{words} is false"))
        return yes if is_true else no
    subject = _SUBJECT.get(test.signal, f"{words} is")
    return _compared(subject, words, operator, constant, _UNIT.get(test.signal, ""))


def _compared(subject: str, words: str, operator: str, constant: Any, unit: str) -> str:
    if operator in _COMPARED:
        said = _COMPARED[operator]
        return f"{subject} {said + ' ' if said else ''}{_shown(constant)}{unit}"
    if operator in ("between", "outside"):
        said = "between" if operator == "between" else "not between"
        return f"{subject} {said} {_shown(constant[0])} and {_shown(constant[1])}{unit}"
    if operator in ("starts_with", "starts_otherwise"):
        said = "starts" if operator == "starts_with" else "does not start"
        return f"{words} {said} with {constant!r}"
    items = [_shown(item) for item in constant]
    if operator == "in":
        return f"{subject} {listed(items, 'or')}{unit}"
    if operator == "not_in":
        return f"{subject} {_neither(items, 'not ')}{unit}"
    if operator == "contains_none":
        return f"{words} {'does not include ' if len(items) == 1 else 'includes '}{_neither(items)}"
    verb = "lacks" if operator == "lacks_some" else "includes"
    return f"{words} {verb} {listed(items, 'and' if operator == 'contains_all' else 'or')}"


def _neither(items: list[str], single: str = "") -> str:
    if len(items) == 1:
        return f"{single}{items[0]}"
    return f"neither {' nor '.join([', '.join(items[:-1]), items[-1]])}"


def condition_words(condition: Condition, registry: Registry, nested: bool = False) -> str:
    """A whole condition as one clause, with parentheses where `and` and `or` meet."""
    if isinstance(condition, Test):
        return test_words(condition, registry)
    if condition.kind == "not":
        return f"not ({condition_words(condition.items[0], registry)})"
    parts = [condition_words(item, registry, True) for item in condition.items]
    if len(parts) == 1:
        return parts[0]
    text = (" and " if condition.kind == "all" else " or ").join(parts)
    return f"({text})" if nested else text


class Observation:
    """A comparison of a matched rule, ready to be said with the value that was seen."""

    __slots__ = ("_fixed", "_lead", "_tail", "signal")

    def __init__(self, test: Test, registry: Registry) -> None:
        signal = registry.get(test.signal)
        self.signal = test.signal
        self._fixed = _fixed_words(test, signal, registry)
        words = signal.words if signal else test.signal
        self._lead = f"{words} "
        compared = (
            _compared("", words, test.operator, test.constant, "").strip()
            if not (self._fixed)
            else ""
        )
        self._tail = "" if test.operator in ("eq", "in") else f" ({compared})"

    def said(self, value: Any) -> str:
        return self._fixed or f"{self._lead}{_shown(value)}{self._tail}"


def _fixed_words(test: Test, signal: Signal | None, registry: Registry) -> str:
    """The words of a comparison that needs no value, or may not show it."""
    if signal is not None and signal.is_personal:
        return f"{signal.words} as the rule asks ({WITHHELD})"
    if test.operator in ("present", "absent") or (signal is not None and signal.kind == BOOL):
        return test_words(test, registry)
    # The caller words these freely, so only a value that the rule itself names is said.
    if signal is not None and signal.kind == OPEN_ENUM and test.operator not in ("eq", "in"):
        return test_words(test, registry)
    if test.operator.startswith(("contains", "lacks", "starts")):
        return test_words(test, registry)
    return ""
