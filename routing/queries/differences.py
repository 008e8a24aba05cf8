"""What one policy version changes against another, in terms of rules and sections."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routing.services.documents import rules_of
from routing.services.interchange import to_yaml

_RULE_FIELDS = ("name", "owner", "note", "enabled", "when", "then")
_FIELD_WORDS = {"when": "condition", "then": "outcome", "enabled": "in force"}
SECTIONS = {
    "owner": "Owner",
    "classifier": "Classifier",
    "signals": "Signals",
    "default": "Default",
    "hold": "Standing hold",
    "fallbacks": "Fallbacks",
    "escalation": "Escalation",
    "safe_default": "Safe default",
    "session": "Session",
    "limits": "Limits",
    "on_classifier_failure": "Without the classifier",
    "invariants": "Invariants",
    "tests": "Tests",
}

Words = Callable[[Mapping[str, Any], str, Any], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One rule or section. `kind` is added, removed, moved or changed."""

    kind: str
    subject: str
    name: str
    words: str = ""
    fields: tuple[FieldChange, ...] = ()


def differences(before: Mapping[str, Any], after: Mapping[str, Any], words: Words) -> list[Change]:
    """Rules first, in the new order, then sections. `words(document, field, value)` is English."""
    return [*_rule_changes(before, after, words), *_section_changes(before, after, words)]


def _rule_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], words: Words
) -> list[Change]:
    old = {str(rule.get("id")): rule for rule in rules_of(before)}
    new = {str(rule.get("id")): rule for rule in rules_of(after)}
    moved = _moved([name for name in old if name in new], [name for name in new if name in old])
    places = {name: place for place, name in enumerate(old, start=1)}
    found: list[Change] = []
    for place, (name, rule) in enumerate(new.items(), start=1):
        title = str(rule.get("name") or name)
        if name not in old:
            when = words(after, "when", rule.get("when"))
            said = f"{when}: {words(after, 'then', rule.get('then'))}"
            found.append(
                Change(
                    kind="added", subject=name, name=title, words=f"As rule {place}. When {said}."
                )
            )
            continue
        fields = _field_changes(before, after, old[name], rule, words)
        if name in moved:
            where = f"From place {places[name]} to place {place}."
            found.append(Change(kind="moved", subject=name, name=title, words=where))
        if fields:
            found.append(Change(kind="changed", subject=name, name=title, fields=fields))
    for name, rule in old.items():
        if name not in new:
            said = (
                f"It was rule {places[name]}: when {words(before, 'when', rule.get('when'))}, "
                f"{words(before, 'then', rule.get('then'))}."
            )
            title = str(rule.get("name") or name)
            found.append(Change(kind="removed", subject=name, name=title, words=said))
    return found


def _field_changes(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    words: Words,
) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(
            field=_FIELD_WORDS.get(field, field),
            before=words(before, field, old.get(field)),
            after=words(after, field, new.get(field)),
        )
        for field in _RULE_FIELDS
        if old.get(field) != new.get(field)
        and not (field == "enabled" and old.get(field, True) == new.get(field, True))
    )


def _moved(old: Sequence[str], new: Sequence[str]) -> set[str]:
    """The fewest rules whose move explains the new order: all but a longest rising run."""
    ranks = [old.index(name) for name in new]
    ends: list[int] = []
    length: list[int] = []
    for rank in ranks:
        place = bisect_left(ends, rank)
        ends[place : place + 1] = [rank]
        length.append(place + 1)
    kept: set[str] = set()
    wanted, ceiling = len(ends), len(old)
    for name, rank, reached in zip(reversed(new), reversed(ranks), reversed(length), strict=True):
        if reached == wanted and rank < ceiling:
            kept.add(name)
            wanted, ceiling = wanted - 1, rank
    return set(new) - kept


def _section_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], words: Words
) -> list[Change]:
    found = []
    for name, title in SECTIONS.items():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if name == "default":
            fields = _default_change(before, after, old, new, words)
        else:
            fields = tuple(_leaf_changes(name, old, new))
        kind = "added" if old is None else "removed" if new is None else "changed"
        found.append(Change(kind=kind, subject=name, name=title, fields=fields))
    return found


def _default_change(
    before: Mapping[str, Any], after: Mapping[str, Any], old: Any, new: Any, words: Words
) -> tuple[FieldChange, ...]:
    def then(value: Any) -> Any:
        return value.get("then") if isinstance(value, Mapping) else None

    change = FieldChange(
        field="outcome",
        before=words(before, "then", then(old)),
        after=words(after, "then", then(new)),
    )
    return (change,)


def _leaf_changes(path: str, old: Any, new: Any) -> list[FieldChange]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = dict.fromkeys([*old, *new])
        return [
            change
            for name in names
            if old.get(name) != new.get(name)
            for change in _leaf_changes(f"{path}.{name}", old.get(name), new.get(name))
        ]
    field = path.partition(".")[2] or path
    return [FieldChange(field=field.replace("_", " "), before=_short(old), after=_short(new))]


def _short(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", then ".join(value) or "none"
    if isinstance(value, (str, int, float)):
        return str(value)
    return to_yaml({"": value}).partition(":")[2].strip()


def yaml_lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The documents line by line as YAML: (same, removed or added, line), three lines around."""
    lines = difflib.unified_diff(
        to_yaml(before).splitlines(), to_yaml(after).splitlines(), lineterm="", n=3
    )
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return [
        (kinds.get(line[:1], "same"), line) for line in lines if not line.startswith(("+++", "---"))
    ]
