"""Turns conditions into functions, once per version.

`not` is pushed down to the comparisons first, so that an absent signal makes every comparison
false, negated ones too. A check returns None where it holds, else its first failing leaf.
"""

from __future__ import annotations

import operator as op
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from routing.engine.policy import Condition, Group, Test
from routing.engine.registry import Registry
from routing.engine.types import Leaf, SignalValue

Check = Callable[[Mapping[str, SignalValue]], Leaf | None]

# The three that no document may write; they arise where `not` meets their opposites.
_OPPOSITE = {
    "eq": "ne",
    "in": "not_in",
    "lt": "gte",
    "lte": "gt",
    "present": "absent",
    "contains_any": "contains_none",
    "between": "outside",
    "contains_all": "lacks_some",
    "starts_with": "starts_otherwise",
}
OPPOSITE = {**_OPPOSITE, **{there: here for here, there in _OPPOSITE.items()}}


def negations_inward(condition: Condition, negate: bool = False) -> Condition:
    """The same condition with `not` only inside comparisons."""
    if isinstance(condition, Test):
        if not negate:
            return condition
        return Test(condition.signal, OPPOSITE[condition.operator], condition.constant)
    if condition.kind == "not":
        return negations_inward(condition.items[0], not negate)
    kind = condition.kind
    if negate:
        kind = "any" if kind == "all" else "all"
    return Group(kind, tuple(negations_inward(item, negate) for item in condition.items))


def leaves(condition: Condition) -> Iterator[Test]:
    if isinstance(condition, Test):
        yield condition
    else:
        for item in condition.items:
            yield from leaves(item)


def _between(value: Any, bounds: Any) -> bool:
    return bool(bounds[0] <= value <= bounds[1])


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": op.eq,
    "ne": op.ne,
    "lt": op.lt,
    "lte": op.le,
    "gt": op.gt,
    "gte": op.ge,
    "in": lambda value, among: value in among,
    "not_in": lambda value, among: value not in among,
    "between": _between,
    "outside": lambda value, bounds: not _between(value, bounds),
    "contains_any": lambda value, tags: not tags.isdisjoint(value),
    "contains_none": lambda value, tags: tags.isdisjoint(value),
    "contains_all": lambda value, tags: tags.issubset(value),
    "lacks_some": lambda value, tags: not tags.issubset(value),
    "starts_with": lambda value, prefix: value.startswith(prefix),
    "starts_otherwise": lambda value, prefix: not value.startswith(prefix),
}
_AS_SET = frozenset({"in", "not_in", "contains_any", "contains_none", "contains_all", "lacks_some"})


def compile_test(test: Test, registry: Registry) -> Check:
    """The check of one comparison."""
    name, operator, constant = test.signal, test.operator, test.constant
    # What NamedTuple's own constructors do, at a third of their cost: this is the hottest line.
    new = tuple.__new__
    if operator == "present":
        missing = Leaf(name, operator, constant, None)
        return lambda signals: None if name in signals else missing
    if operator == "absent":
        return lambda signals: (
            new(Leaf, (name, operator, constant, signals[name])) if name in signals else None
        )
    signal = registry.get(name)
    absent = signal.absent_as if signal else None
    compare = _COMPARISONS[operator]
    compared: Any = constant
    if operator in _AS_SET and isinstance(constant, tuple):
        compared = frozenset(constant)

    def check(signals: Mapping[str, SignalValue]) -> Leaf | None:
        value = signals.get(name, absent)
        try:
            if value is not None and compare(value, compared):
                return None
        except (TypeError, ArithmeticError, AttributeError):
            # A value of the wrong type is no match; a decision never fails on its input.
            value = str(value)
        return new(Leaf, (name, operator, constant, value))

    return check


def compile_condition(condition: Condition, registry: Registry) -> Check:
    """The check of a condition whose negations are inward."""
    if isinstance(condition, Test):
        return compile_test(condition, registry)
    checks = tuple(compile_condition(item, registry) for item in condition.items)
    if len(checks) == 1:
        return checks[0]
    return _all_of(checks) if condition.kind == "all" else _any_of(checks)


def _all_of(checks: tuple[Check, ...]) -> Check:
    def check(signals: Mapping[str, SignalValue]) -> Leaf | None:
        for one in checks:
            failing = one(signals)
            if failing is not None:
                return failing
        return None

    return check


def _any_of(checks: tuple[Check, ...]) -> Check:
    def check(signals: Mapping[str, SignalValue]) -> Leaf | None:
        first = None
        for one in checks:
            failing = one(signals)
            if failing is None:
                return None
            if first is None:
                first = failing
        return first

    return check


def may_hold(condition: Condition, holds: Callable[[Test], bool], unknown: frozenset[str]) -> bool:
    """Whether the condition could hold if the unknown signals had the values that suit it."""
    if isinstance(condition, Test):
        return condition.signal in unknown or holds(condition)
    results = (may_hold(item, holds, unknown) for item in condition.items)
    return all(results) if condition.kind == "all" else any(results)
