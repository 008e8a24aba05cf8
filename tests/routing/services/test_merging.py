"""Laws of the three-way merge that a rebase makes."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from routing.services.merging import merge, with_own

NAMES = ("a", "b", "c", "d", "e")
VALUES = st.integers(0, 2)


@st.composite
def documents(draw: Any) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    document: dict[str, Any] = {
        "schema": "signalbox.policy/1",
        "route": "support",
        "rules": [{"id": name, "then": draw(VALUES)} for name in names],
        "default": draw(VALUES),
    }
    for section in ("owner", "limits"):
        if draw(st.booleans()):
            document[section] = draw(VALUES)
    if draw(st.booleans()):
        document["tests"] = draw(st.lists(VALUES, unique=True, max_size=3))
    return document


def rules(document: dict[str, Any]) -> dict[str, Any]:
    return {rule["id"]: rule for rule in document["rules"]}


@given(documents(), documents())
def test_nothing_new_on_the_other_side_leaves_the_authors_document(base: Any, mine: Any) -> None:
    merged = merge(base, mine, base)
    assert merged.conflicts == ()
    assert {**merged.document, "rules": []} == {**mine, "rules": []}
    assert rules(merged.document) == rules(mine)


@given(documents(), documents())
def test_nothing_of_the_author_leaves_the_newer_document(base: Any, theirs: Any) -> None:
    merged = merge(base, base, theirs)
    assert (merged.document, merged.conflicts) == (theirs, ())


@given(documents(), documents())
def test_the_same_change_on_both_sides_is_no_conflict(base: Any, changed: Any) -> None:
    assert merge(base, changed, copy.deepcopy(changed)).conflicts == ()


@given(documents(), documents(), documents())
def test_every_rule_is_that_of_the_only_side_that_touched_it(
    base: Any, mine: Any, theirs: Any
) -> None:
    merged = merge(base, mine, theirs)
    was, own, new, got = map(rules, (base, mine, theirs, merged.document))
    for name in NAMES:
        touched = {"mine": own.get(name) != was.get(name), "theirs": new.get(name) != was.get(name)}
        if touched["mine"] and not touched["theirs"]:
            assert got.get(name) == own.get(name)
        else:
            assert got.get(name) == new.get(name)


@given(documents(), documents(), documents())
def test_a_rule_is_in_conflict_just_when_both_changed_it_differently(
    base: Any, mine: Any, theirs: Any
) -> None:
    listed = {one.subject for one in merge(base, mine, theirs).conflicts if one.kind == "rule"}
    was, own, new = map(rules, (base, mine, theirs))
    assert listed == {
        name
        for name in NAMES
        if own.get(name) != was.get(name) != new.get(name) and own.get(name) != new.get(name)
    }


@given(documents(), documents(), documents())
def test_taking_the_authors_side_of_every_conflict_gives_the_authors_content(
    base: Any, mine: Any, theirs: Any
) -> None:
    merged = merge(base, mine, theirs)
    document = merged.document
    for conflict in merged.conflicts:
        document = with_own(document, conflict.as_json())
    for conflict in merged.conflicts:
        if conflict.kind == "rule":
            assert rules(document).get(conflict.subject) == conflict.mine
        if conflict.kind == "section":
            assert document.get(conflict.subject) == conflict.mine


@given(documents(), documents(), documents())
def test_no_document_is_changed_in_place(base: Any, mine: Any, theirs: Any) -> None:
    before = copy.deepcopy((base, mine, theirs))
    merge(base, mine, theirs)
    assert (base, mine, theirs) == before


def named(*names: str) -> dict[str, Any]:
    return {"rules": [{"id": name} for name in names]}


def order(document: dict[str, Any]) -> list[str]:
    return [rule["id"] for rule in document["rules"]]


def test_a_new_rule_of_the_author_comes_after_its_neighbour() -> None:
    merged = merge(named("a", "b"), named("a", "new", "b"), named("x", "b", "a"))
    assert order(merged.document) == ["x", "b", "a", "new"]


def test_a_move_of_the_author_is_carried_over_past_new_rules() -> None:
    merged = merge(named("a", "b"), named("b", "a"), named("a", "x", "b"))
    assert order(merged.document) == ["b", "x", "a"]


def test_two_different_orders_are_a_conflict_that_the_author_may_win() -> None:
    merged = merge(named("a", "b", "c"), named("b", "a", "c"), named("a", "c", "b"))
    (conflict,) = merged.conflicts
    assert (conflict.kind, order(merged.document)) == ("order", ["a", "c", "b"])
    assert order(with_own(merged.document, conflict.as_json())) == ["b", "a", "c"]


def test_tests_that_both_added_are_both_kept() -> None:
    merged = merge({"tests": [1]}, {"tests": [1, 2]}, {"tests": [1, 3]})
    assert merged.document["tests"] == [1, 3, 2]
