"""The difference that an approver reads: nothing is missed, and a move is not a change."""

from __future__ import annotations

import copy
from typing import Any

from routing.queries.differences import differences
from routing.queries.english import field_words
from tests.engine.cases import EXAMPLE


def kinds(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.kind, one.subject) for one in differences(before, after, field_words)]


def changed(**sections: Any) -> dict[str, Any]:
    return {**copy.deepcopy(EXAMPLE), **sections}


def test_the_same_document_has_no_difference() -> None:
    assert kinds(EXAMPLE, copy.deepcopy(EXAMPLE)) == []


def test_a_moved_rule_is_moved_and_the_others_are_not() -> None:
    rules = copy.deepcopy(EXAMPLE["rules"])
    after = changed(rules=[*rules[1:], rules[0]])
    assert kinds(EXAMPLE, after) == [("moved", "restricted-stays-private")]


def test_an_added_and_a_removed_rule() -> None:
    rules = copy.deepcopy(EXAMPLE["rules"])
    fresh = {**rules[0], "id": "fresh"}
    after = changed(rules=[fresh, *rules[1:]])
    assert kinds(EXAMPLE, after) == [
        ("added", "fresh"),
        ("removed", "restricted-stays-private"),
    ]


def test_a_changed_threshold_reads_before_and_after() -> None:
    after = changed()
    after["rules"][1]["when"]["all"][0]["gain"]["lte"] = 0.08
    (one,) = differences(EXAMPLE, after, field_words)
    assert (one.kind, one.subject) == ("changed", "narrow-work")
    (field,) = one.fields
    assert "gain is at most 0.04" in field.before
    assert "gain is at most 0.08" in field.after


def test_a_rule_can_be_moved_and_changed() -> None:
    rules = copy.deepcopy(EXAMPLE["rules"])
    rules[2]["enabled"] = False
    after = changed(rules=[rules[2], rules[0], rules[1]])
    assert kinds(EXAMPLE, after) == [
        ("moved", "unsure-and-high-stakes"),
        ("changed", "unsure-and-high-stakes"),
    ]


def test_every_section_is_compared() -> None:
    after = changed(
        default={"then": {"refuse": True}},
        fallbacks={**EXAMPLE["fallbacks"], "failure": {}},
        limits={**EXAMPLE["limits"], "attempts": 2},
        safe_default={"text": "Later."},
        invariants=[],
        tests=[],
        session={"sticky": False},
        owner="somebody-else",
    )
    assert {subject for _, subject in kinds(EXAMPLE, after)} == {
        "default", "fallbacks", "limits", "safe_default", "invariants", "tests", "session",
        "owner",
    }  # fmt: skip
