"""Reads conditions and outcomes, the two halves of a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from routing.engine.policy import Condition, Constant, Group, Outcome, Test
from routing.engine.reading import Reader, at, kind_of
from routing.engine.registry import (
    BOOL,
    ENUM,
    INT,
    MAX_TEXT,
    NUMBER,
    OPEN_ENUM,
    TAGS,
    TIERS,
    Registry,
    Signal,
)
from routing.engine.types import HoldTerms, SafeDefault

GROUPS = ("all", "any", "not")
ORDER_OPERATORS = ("lt", "lte", "gt", "gte", "between")
TAG_OPERATORS = ("contains_any", "contains_all", "contains_none")
OPERATORS = (
    "eq",
    "ne",
    "in",
    "not_in",
    *ORDER_OPERATORS,
    "present",
    "absent",
    *TAG_OPERATORS,
    "starts_with",
)
OPERATORS_OF = {
    ENUM: ("eq", "ne", "in", "not_in", "starts_with", "present", "absent"),
    OPEN_ENUM: ("eq", "ne", "in", "not_in", "starts_with", "present", "absent"),
    BOOL: ("eq", "ne", "present", "absent"),
    INT: ("eq", "ne", "in", "not_in", *ORDER_OPERATORS, "present", "absent"),
    NUMBER: ("eq", "ne", "in", "not_in", *ORDER_OPERATORS, "present", "absent"),
    TAGS: (*TAG_OPERATORS, "present", "absent"),
}
MAX_DEPTH, MAX_LEAVES = 4, 64
MAX_CONSTANTS = 100

STANDING_HOLD = HoldTerms(queue="triage", hold_s=25, on_timeout="safe_default")
MAX_HOLD_S = 86_400

_ACTIONS = ("route", "escalate", "hold", "safe_default", "refuse")
_MODIFIERS = ("on_no_target", "data_class", "deadline_ms", "max_cost_usd", "sticky", "shadow")
_INSTEAD = ("hold", "refuse", "safe_default", "next")


class ClauseReader(Reader):
    """Reads the clauses of one document against the registry of its route."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.registry = registry
        self.standing_hold = STANDING_HOLD

    # conditions

    def condition(self, value: object, path: str) -> Condition | None:
        """A whole `when`, within the limits of depth and size."""
        before = len(self.findings)
        found = self._condition(value, path, 0)
        if found is not None and len(self.findings) == before:
            leaves = count_leaves(found)
            if leaves > MAX_LEAVES:
                self.note(path, f"has {leaves} comparisons; at most {MAX_LEAVES} are allowed")
        return found

    def _condition(self, value: object, path: str, depth: int) -> Condition | None:
        if not isinstance(value, Mapping):
            self.note(path, f"must be a condition (a mapping), not {kind_of(value)}")
            return None
        if len(value) != 1:
            self.note(path, "must have exactly one key: all, any, not, or a signal")
            return None
        ((key, inner),) = value.items()
        if key not in GROUPS:
            return self.test(str(key), inner, at(path, str(key)[:60]))
        if depth >= MAX_DEPTH:
            self.note(at(path, key), f"is nested deeper than {MAX_DEPTH} groups")
            return None
        return self._group(key, inner, at(path, key), depth)

    def _group(self, kind: str, inner: object, path: str, depth: int) -> Group | None:
        if kind == "not":
            item = self._condition(inner, path, depth + 1)
            return None if item is None else Group(kind, (item,))
        read = [
            self._condition(item, place, depth + 1)
            for place, item in self.items(inner, path, least=1, most=MAX_LEAVES)
        ]
        items = tuple(item for item in read if item is not None)
        return Group(kind, items) if items and len(items) == len(read) else None

    def test(self, name: str, value: object, path: str) -> Test | None:
        """One comparison: `{operator: constant}` of a signal that exists when rules run."""
        signal = self.registry.get(name)
        if signal is None:
            self.note(path, f"there is no signal named {name[:60]!r}", "unknown_signal")
            return None
        if signal.stage == "answer":
            self.note(
                path,
                f"{signal.words} is known only after an answer; rules run before it",
                "unavailable_signal",
            )
            return None
        if not isinstance(value, Mapping) or len(value) != 1:
            self.note(path, "must have exactly one operator, such as {lte: 0.04}")
            return None
        ((operator, constant),) = value.items()
        allowed = OPERATORS_OF[signal.kind]
        if operator not in allowed:
            known = operator in OPERATORS
            said = (
                f"{operator!r} does not apply to"
                if known
                else f"{str(operator)[:40]!r} is no operator of"
            )
            self.note(
                at(path, str(operator)[:60]), f"{said} {signal.words}; use {', '.join(allowed)}"
            )
            return None
        read = self._constant(signal, operator, constant, at(path, operator))
        return None if read is None else Test(name, operator, read)

    def _constant(self, signal: Signal, operator: str, value: Any, path: str) -> Constant | None:
        if operator in ("present", "absent"):
            if value is True:
                return True
            self.note(path, "must be true; use the other of present and absent instead of false")
            return None
        if operator == "starts_with":
            return self.text(value, path, most=MAX_TEXT)
        if operator in ("in", "not_in", *TAG_OPERATORS):
            return self._several(signal, value, path)
        if operator == "between":
            pair = [
                self._one(signal, item, place)
                for place, item in self.items(value, path, least=2, most=2)
            ]
            return self._span(pair, path)
        return self._one(signal, value, path)

    def _several(self, signal: Signal, value: Any, path: str) -> Constant | None:
        before = len(self.findings)
        found: Any = self.distinct(
            value, path, lambda item, place: self._one(signal, item, place), most=MAX_CONSTANTS
        )
        return found if len(self.findings) == before else None

    def _span(self, pair: list[Any], path: str) -> Constant | None:
        if len(pair) != 2 or pair[0] is None or pair[1] is None:
            return None
        if pair[0] > pair[1]:
            self.note(path, "must have the lower bound first")
            return None
        return (pair[0], pair[1])

    def _one(self, signal: Signal, value: Any, path: str) -> str | bool | Decimal | None:
        if signal.kind == BOOL:
            return self.truth(value, path)
        if signal.kind == INT:
            whole = self.number(value, path, signal.low, signal.high)
            if whole is not None and whole != whole.to_integral_value():
                self.note(path, "must be a whole number")
                return None
            return whole
        if signal.kind == NUMBER:
            return self.number(value, path, signal.low, signal.high)
        text = self.text(value, path, most=MAX_TEXT)
        if text is not None and signal.values and text not in signal.values:
            self.note(
                path, f"{text[:40]!r} is not a value of {signal.words}: {', '.join(signal.values)}"
            )
            return None
        return text

    # outcomes

    def outcome(self, value: object, path: str) -> Outcome | None:
        """The `then` of a rule: exactly one action, and its modifiers."""
        fields = self.mapping(value, path, known=(*_ACTIONS, *_MODIFIERS))
        if fields is None:
            return None
        actions = [name for name in _ACTIONS if name in fields]
        if len(actions) != 1:
            self.note(path, f"must have exactly one of {', '.join(_ACTIONS)}")
            return None
        action = actions[0]
        before = len(self.findings)
        parts = getattr(self, f"_{action}")(fields[action], at(path, action))
        parts |= self._modifiers(fields, path, action)
        return None if len(self.findings) > before else Outcome(action=action, **parts)

    def _modifiers(self, fields: dict[str, Any], path: str, action: str) -> dict[str, Any]:
        read: dict[str, Any] = {}
        routes = action in ("route", "escalate")
        for name in _MODIFIERS:
            if name not in fields:
                continue
            value, place = fields[name], at(path, name)
            if name == "data_class":
                read[name] = self.choice(value, place, self.registry.data_classes)
            elif not routes:
                self.note(place, f"goes with route or escalate, not with {action}")
            elif name == "on_no_target":
                read[name] = self.instead(value, place, among=_INSTEAD)
            elif name == "deadline_ms":
                read[name] = self.whole(value, place, 100, 600_000)
            elif name == "max_cost_usd":
                read[name] = self.number(value, place, Decimal(0), Decimal(1000))
            else:
                read[name] = self.truth(value, place)
        return read

    def _route(self, value: object, path: str) -> dict[str, Any]:
        fields = self.mapping(value, path, known=("tier", "targets"))
        if fields is None:
            return {}
        if not fields:
            self.note(path, "must name a tier or targets")
        read: dict[str, Any] = {}
        if "tier" in fields:
            read["tier"] = self.choice(fields["tier"], at(path, "tier"), TIERS)
        if "targets" in fields:
            read["targets"] = self.backends(fields["targets"], at(path, "targets"), least=1)
        return read

    _escalate = _route

    def _hold(self, value: object, path: str) -> dict[str, Any]:
        return {"hold": self.hold_terms(value, path)}

    def hold_terms(self, value: object, path: str) -> HoldTerms | None:
        known = ("queue", "hold_s", "on_timeout", "candidate", "cap_pct", "over_cap")
        before = len(self.findings)
        fields = self.mapping(value, path, known=known, required=("queue", "hold_s", "on_timeout"))
        if fields is None:
            return None
        read: dict[str, Any] = {}
        readers: dict[str, Callable[[Any, str], Any]] = {
            "queue": self.identifier,
            "hold_s": lambda v, p: self.whole(v, p, 1, MAX_HOLD_S),
            "on_timeout": lambda v, p: self.choice(v, p, ("safe_default", "refuse", "pending")),
            "candidate": self.backend,
            "cap_pct": lambda v, p: self.number(v, p, Decimal(0), Decimal(100)),
            "over_cap": lambda v, p: self.choice(v, p, ("safe_default", "refuse", "next")),
        }
        for name, item in fields.items():
            read[name] = readers[name](item, at(path, name))
        return HoldTerms(**read) if len(self.findings) == before else None

    def _safe_default(self, value: object, path: str) -> dict[str, Any]:
        return {} if value is True else {"safe_default": self.safe_answer(value, path)}

    def safe_answer(self, value: object, path: str) -> SafeDefault | None:
        fields = self.mapping(value, path, known=("text", "finish_reason"), required=("text",))
        if fields is None or "text" not in fields:
            return None
        text = self.text(fields["text"], at(path, "text"), most=4000)
        reason = self.choice(
            fields.get("finish_reason", "stop"),
            at(path, "finish_reason"),
            ("stop", "content_filter"),
        )
        return SafeDefault(text=text, finish_reason=reason) if text and reason else None

    def _refuse(self, value: object, path: str) -> dict[str, Any]:
        if value is True:
            return {}
        fields = self.mapping(value, path, known=("message",), required=("message",))
        if not fields:
            return {}
        return {"message": self.text(fields["message"], at(path, "message"), most=500)}

    def instead(self, value: object, path: str, *, among: tuple[str, ...]) -> Outcome | None:
        """A word such as `hold` or `refuse`, or a whole outcome of that kind."""
        if isinstance(value, Mapping):
            found = self.outcome(value, path)
            if found is not None and found.action not in among:
                self.note(path, f"must be one of {', '.join(among)}, not {found.action}")
                return None
            return found
        word = self.choice(value, path, among)
        if word is None:
            return None
        return Outcome(action=word, hold=self.standing_hold if word == "hold" else None)


def count_leaves(condition: Condition) -> int:
    if isinstance(condition, Test):
        return 1
    return sum(count_leaves(item) for item in condition.items)
