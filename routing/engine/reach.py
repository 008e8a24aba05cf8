"""Decides exactly which conditions can hold together, and shows a request for which they do.

Every signal's values fall into finitely many cells on which all comparisons of a policy agree:
points and gaps of numbers, words and prefixes of text, one switch per tag, and absence. A
comparison is then a bit mask of cells, a condition a formula of masks, and satisfiability is
decided by propagation and branching (DPLL). Exact, because cells are never empty and each mask bit
is the engine's own verdict on a value of that cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from routing.engine.conditions import compile_test, leaves
from routing.engine.policy import Condition, Test
from routing.engine.registry import BOOL, INT, NUMBER, TAGS, Registry, Signal
from routing.engine.types import SignalValue

# A formula: (LITERAL, variable, mask), or (AND or OR, parts, bits of the variables in them).
LITERAL, AND, OR = 0, 1, 2
Formula = tuple[Any, ...]
TRUE: Formula = (AND, (), 0)
FALSE: Formula = (OR, (), 0)

MAX_NODES = 50_000
_FACT_ALWAYS_GIVEN = "data_class"


class Undecided(Exception):
    """The search took more than MAX_NODES steps."""


class _Absent:
    """The cell of a signal that is not there."""


ABSENT = _Absent()
_Cell = SignalValue | _Absent


class Space:
    """The cells of all signals that some conditions speak of."""

    def __init__(self, registry: Registry, conditions: Iterable[Condition]) -> None:
        self.registry = registry
        self.variables: list[tuple[str, str | None]] = []
        self.cells: list[Sequence[_Cell]] = []
        self._number: dict[tuple[str, str | None], int] = {}
        tests: dict[str, list[Test]] = {}
        for condition in conditions:
            for test in leaves(condition):
                tests.setdefault(test.signal, []).append(test)
        for name, of_signal in tests.items():
            signal = registry.get(name)
            if signal is not None:
                self._add(signal, of_signal)
        self.full = [(1 << len(cells)) - 1 for cells in self.cells]
        self._masks: dict[Test, Formula] = {}
        self.nodes = 0

    def _add(self, signal: Signal, tests: list[Test]) -> None:
        name = signal.name
        if signal.kind == TAGS:
            self._variable((name, None), (frozenset(), ABSENT))
            tags = {str(tag) for test in tests for tag in _constants(test)}
            for tag in sorted(tags):
                self._variable((name, tag), (False, True))
            return
        cells: list[_Cell] = list(_cells_of(signal, tests))
        if name != _FACT_ALWAYS_GIVEN:
            cells.append(ABSENT)
        self._variable((name, None), cells)

    def _variable(self, key: tuple[str, str | None], cells: Sequence[_Cell]) -> None:
        self._number[key] = len(self.variables)
        self.variables.append(key)
        self.cells.append(cells)

    # formulas

    def formula(self, condition: Condition) -> Formula:
        """The formula of a condition whose negations are inward."""
        if isinstance(condition, Test):
            known = self._masks.get(condition)
            if known is None:
                known = self._masks[condition] = self._literal(condition)
            return known
        parts = [self.formula(item) for item in condition.items]
        return self.all_of(parts) if condition.kind == "all" else self.any_of(parts)

    def _literal(self, test: Test) -> Formula:
        name = test.signal
        signal = self.registry.get(name)
        if signal is not None and signal.kind == TAGS:
            return self._of_tags(test)
        variable = self._number[name, None]
        check = compile_test(test, self.registry)
        mask = 0
        for place, cell in enumerate(self.cells[variable]):
            seen: dict[str, SignalValue] = {} if isinstance(cell, _Absent) else {name: cell}
            if check(seen) is None:
                mask |= 1 << place
        return self._masked(variable, mask)

    def _masked(self, variable: int, mask: int) -> Formula:
        if mask == self.full[variable]:
            return TRUE
        return (LITERAL, variable, mask) if mask else FALSE

    def _of_tags(self, test: Test) -> Formula:
        presence = self._number[test.signal, None]
        if test.operator in ("present", "absent"):
            return (LITERAL, presence, 1 if test.operator == "present" else 2)
        is_in = test.operator in ("contains_any", "contains_all")
        parts: list[Formula] = [
            (LITERAL, self._number[test.signal, str(tag)], 2 if is_in else 1)
            for tag in _constants(test)
        ]
        some = test.operator in ("contains_any", "lacks_some")
        joined = self.any_of(parts) if some else self.all_of(parts)
        return self.all_of([(LITERAL, presence, 1), joined])

    def all_of(self, parts: Iterable[Formula]) -> Formula:
        return self._joined(parts, AND, OR)

    def any_of(self, parts: Iterable[Formula]) -> Formula:
        return self._joined(parts, OR, AND)

    def _joined(self, parts: Iterable[Formula], kind: int, other: int) -> Formula:
        """One group, flattened; comparisons of one variable become one mask."""
        masks: dict[int, int] = {}
        rest: list[Formula] = []
        flat = [inner for part in parts for inner in (part[1] if part[0] == kind else (part,))]
        for part in flat:
            if part[0] == LITERAL:
                variable, mask = part[1], part[2]
                known = masks.get(variable)
                if known is not None:
                    mask = known & mask if kind == AND else known | mask
                masks[variable] = mask
            elif not part[1]:
                # The other constant decides; an empty group of this kind was flattened away.
                return part
            else:
                rest.append(part)
        literals = [self._masked(variable, mask) for variable, mask in masks.items()]
        if any(literal[0] == other for literal in literals):
            return FALSE if kind == AND else TRUE
        joined = [literal for literal in literals if literal[0] == LITERAL] + rest
        if len(joined) == 1:
            return joined[0]
        bits = 0
        for part in joined:
            bits |= 1 << part[1] if part[0] == LITERAL else part[2]
        return (kind, tuple(joined), bits)

    def negated(self, formula: Formula) -> Formula:
        if formula[0] == LITERAL:
            return (LITERAL, formula[1], self.full[formula[1]] & ~formula[2])
        parts = [self.negated(part) for part in formula[1]]
        return self.any_of(parts) if formula[0] == AND else self.all_of(parts)

    # solving

    def solve(self, formulas: Iterable[Formula]) -> list[int] | None:
        """Masks of which every choice satisfies all formulas, or None. Raises Undecided."""
        self.nodes = 0
        return self._solve(list(self.full), [], list(formulas))

    def can_hold(self, *formulas: Formula) -> bool:
        return self.solve(formulas) is not None

    def _solve(
        self, masks: list[int], groups: list[Formula], asserted: list[Formula]
    ) -> list[int] | None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Undecided
        open_groups = _propagate(masks, groups, asserted)
        if open_groups is None:
            return None
        if not open_groups:
            return masks
        place = min(range(len(open_groups)), key=lambda at: len(open_groups[at][1]))
        group, others = open_groups[place], open_groups[:place] + open_groups[place + 1 :]
        excluded: list[Formula] = []
        for part in group[1]:
            found = self._solve(list(masks), others, [*excluded, part])
            if found is not None:
                return found
            excluded.append(self.negated(part))
        return None

    # witnesses

    def witness(self, masks: Sequence[int]) -> dict[str, SignalValue]:
        """A request of the masks: signals that do not matter are left out."""
        found: dict[str, SignalValue] = {}
        for variable, (name, tag) in enumerate(self.variables):
            cells, mask = self.cells[variable], masks[variable]
            if tag is not None:
                held = found.get(name)
                if isinstance(held, frozenset) and not mask & 1:
                    found[name] = held | {tag}
                continue
            if mask == self.full[variable] and isinstance(cells[-1], _Absent):
                continue
            for place, cell in enumerate(cells):
                if mask >> place & 1:
                    if not isinstance(cell, _Absent):
                        found[name] = cell
                    break
        return found


def _propagate(
    masks: list[int], groups: list[Formula], asserted: list[Formula]
) -> list[Formula] | None:
    """Narrow the masks until nothing more follows; the OR groups still open, or None.

    `groups` were open under these masks before `asserted` came; only those that speak of a
    narrowed variable are looked at again.
    """
    fresh: list[Formula] = []
    touched = 0
    while True:
        while asserted:
            part = asserted.pop()
            if part[0] == LITERAL:
                before = masks[part[1]]
                masks[part[1]] = after = before & part[2]
                if not after:
                    return None
                if after != before:
                    touched |= 1 << part[1]
            elif part[0] == AND:
                asserted.extend(part[1])
            else:
                fresh.append(part)
        if not touched and not fresh:
            return groups
        kept: list[Formula] = []
        look_at = fresh
        for group in groups:
            (look_at if group[2] & touched else kept).append(group)
        fresh, touched = [], 0
        for group in look_at:
            left = _left_open(group, masks)
            if left is None:
                continue
            if not left:
                return None
            if len(left) > 1:
                kept.append(group if len(left) == len(group[1]) else (OR, left, group[2]))
            else:
                asserted.append(left[0])
        groups = kept


def _left_open(group: Formula, masks: list[int]) -> tuple[Formula, ...] | None:
    """The parts of an OR that may still hold; None where one holds already."""
    left: list[Formula] = []
    for part in group[1]:
        if part[0] == LITERAL:
            mask = masks[part[1]]
            inside = mask & part[2]
            if inside == mask:
                return None
            if inside:
                left.append(part)
            continue
        status = _status(part, masks)
        if status is True:
            return None
        if status is None:
            left.append(part)
    return tuple(left)


def _status(formula: Formula, masks: list[int]) -> bool | None:
    if formula[0] == LITERAL:
        mask = masks[formula[1]]
        inside = mask & formula[2]
        return True if inside == mask else None if inside else False
    decisive = formula[0] == OR
    unknown = False
    for part in formula[1]:
        status = _status(part, masks)
        if status is decisive:
            return decisive
        unknown = unknown or status is None
    return None if unknown else not decisive


def _constants(test: Test) -> tuple[Any, ...]:
    if test.operator in ("present", "absent"):
        return ()
    return test.constant if isinstance(test.constant, tuple) else (test.constant,)


def _cells_of(signal: Signal, tests: list[Test]) -> Sequence[SignalValue]:
    if signal.kind == BOOL:
        return (True, False)
    if signal.values:
        return signal.values
    if signal.kind in (INT, NUMBER):
        return _number_cells(signal, sorted({c for test in tests for c in _constants(test)}))
    return _text_cells(tests)


def _number_cells(signal: Signal, constants: list[Decimal]) -> list[SignalValue]:
    """Each constant, and one value of every gap between and around them that is not empty."""
    is_whole = signal.kind == INT
    low, high = signal.low or Decimal(0), signal.high or Decimal(0)
    cells: list[Decimal] = []
    if not constants or low < constants[0]:
        cells.append(low)
    for place, constant in enumerate(constants):
        cells.append(constant)
        is_last = place + 1 == len(constants)
        end = high if is_last else constants[place + 1]
        middle = min(constant + 1, end if is_last else (constant + end) / 2)
        if is_whole:
            middle = constant + 1
        if constant < middle < end or (is_last and constant < middle <= end):
            cells.append(middle)
    return [int(cell) if is_whole else cell for cell in cells]


def _text_cells(tests: list[Test]) -> list[SignalValue]:
    """The words compared with, and for each longest prefix a word that is none of them."""
    prefixes = {
        str(test.constant) for test in tests if test.operator in ("starts_with", "starts_otherwise")
    }
    by_prefix = ("starts_with", "starts_otherwise")
    words = {str(c) for test in tests if test.operator not in by_prefix for c in _constants(test)}
    others = [_other_word(prefix, prefixes, words) for prefix in ("", *sorted(prefixes))]
    return [*sorted(words), *others]


def _other_word(prefix: str, prefixes: set[str], words: set[str]) -> str:
    """A word whose longest known prefix is this one, and which no comparison names."""
    longer = [other for other in prefixes if len(other) > len(prefix)]
    for mark in "xyzabcdefghijklmnopqrstuvw0123456789-_":
        for count in range(1, len(words) + 2):
            word = prefix + mark * count
            if word not in words and not any(word.startswith(other) for other in longer):
                return word
    # So many prefixes that no plain mark is free: a rare letter is.
    return prefix + next(
        letter
        for letter in map(chr, range(0x4E00, 0x9FFF))
        if prefix + letter not in words
        and not any((prefix + letter).startswith(other) for other in longer)
    )


def witness_of(space: Space, formulas: Iterable[Formula]) -> Mapping[str, SignalValue] | None:
    """A request for which all formulas hold, or None. Raises Undecided."""
    masks = space.solve(formulas)
    return None if masks is None else space.witness(masks)
