"""Carries an author's changes over to a newer policy: a three-way merge of rules and sections.

Pure over documents. What both sides touched is not guessed: the newer one stays, and it is listed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routing.services.documents import Document, rules_of

# Sections that are sets of items: what one side adds or removes does not touch the other's.
_SETS = ("tests", "invariants")
_IDENTITY = ("schema", "route")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One rule, section or place that both changed. `mine` is None where the author removed it."""

    kind: str
    subject: str
    base: Any
    mine: Any
    theirs: Any

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "subject": self.subject,
            "base": self.base,
            "mine": self.mine,
            "theirs": self.theirs,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    document: Document
    conflicts: tuple[Conflict, ...]


def merge(base: Document, mine: Document, theirs: Document) -> Merged:
    """`theirs` with everything that `mine` changes against `base` and `theirs` does not."""
    conflicts: list[Conflict] = []
    merged = copy.deepcopy(theirs)
    contents = _merged_rules(base, mine, theirs, conflicts)
    order = _merged_order(base, mine, theirs, conflicts)
    merged["rules"] = [copy.deepcopy(contents[name]) for name in order if name in contents]
    for name in dict.fromkeys([*base, *mine, *theirs]):
        if name != "rules" and name not in _IDENTITY:
            _merge_section(name, base, mine, merged, conflicts)
    return Merged(document=merged, conflicts=tuple(conflicts))


def _by_id(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(rule.get("id")): rule for rule in rules_of(document)}


def _merged_rules(
    base: Document, mine: Document, theirs: Document, conflicts: list[Conflict]
) -> dict[str, dict[str, Any]]:
    old, own, new = _by_id(base), _by_id(mine), _by_id(theirs)
    merged = dict(new)
    for name in dict.fromkeys([*old, *own]):
        was, wanted, now = old.get(name), own.get(name), new.get(name)
        if wanted in (was, now):
            continue
        if now != was:
            conflicts.append(Conflict(kind="rule", subject=name, base=was, mine=wanted, theirs=now))
        elif wanted is None:
            merged.pop(name, None)
        else:
            merged[name] = wanted
    return merged


def _merged_order(
    base: Document, mine: Document, theirs: Document, conflicts: list[Conflict]
) -> list[str]:
    """The order of the side that moved something; the author's new rules after their neighbours."""
    old, own, new = list(_by_id(base)), list(_by_id(mine)), list(_by_id(theirs))
    shared = set(old) & set(own) & set(new)
    was, wanted, now = ([name for name in one if name in shared] for one in (old, own, new))
    order = list(new)
    if wanted not in (was, now):
        if now == was:
            places = iter(wanted)
            order = [next(places) if name in shared else name for name in new]
        else:
            conflicts.append(
                Conflict(kind="order", subject="rules", base=was, mine=wanted, theirs=now)
            )
    for place, name in enumerate(own):
        if name not in order:
            before = next((one for one in reversed(own[:place]) if one in order), None)
            order.insert(order.index(before) + 1 if before is not None else 0, name)
    return order


def _merge_section(
    name: str, base: Document, mine: Document, merged: Document, conflicts: list[Conflict]
) -> None:
    was, wanted, now = base.get(name), mine.get(name), merged.get(name)
    if wanted in (was, now):
        return
    if now == was:
        _put(merged, name, wanted)
    elif name in _SETS and all(isinstance(one or [], list) for one in (was, wanted, now)):
        _put(merged, name, _united(was or [], wanted or [], now or []))
    else:
        conflicts.append(Conflict(kind="section", subject=name, base=was, mine=wanted, theirs=now))


def _united(was: list[Any], wanted: list[Any], now: list[Any]) -> list[Any]:
    kept = [item for item in now if item in wanted or item not in was]
    return kept + [item for item in wanted if item not in was and item not in now]


def _put(document: Document, name: str, value: Any) -> None:
    if value is None:
        document.pop(name, None)
    else:
        document[name] = copy.deepcopy(value)


def with_own(document: Document, conflict: Mapping[str, Any]) -> Document:
    """The document with the author's side of one conflict."""
    changed = copy.deepcopy(document)
    kind, subject, mine = conflict["kind"], conflict["subject"], conflict["mine"]
    if kind == "section":
        _put(changed, subject, mine)
        return changed
    rules = changed.setdefault("rules", [])
    if kind == "order":
        place = {name: at for at, name in enumerate(mine)}
        ordered = iter(sorted((r for r in rules if r.get("id") in place), key=_placed(place)))
        changed["rules"] = [next(ordered) if r.get("id") in place else r for r in rules]
        return changed
    here = next((at for at, rule in enumerate(rules) if rule.get("id") == subject), None)
    if here is not None:
        rules[here : here + 1] = [] if mine is None else [copy.deepcopy(mine)]
    elif mine is not None:
        rules.append(copy.deepcopy(mine))
    return changed


def _placed(place: Mapping[str, int]) -> Any:
    return lambda rule: place[rule["id"]]
