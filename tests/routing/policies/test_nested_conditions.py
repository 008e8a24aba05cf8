"""Groups inside groups, edited by buttons: what each step makes of the tree, and its limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from routing.engine.canonical import digest
from routing.engine.clauses import MAX_LEAVES, ClauseReader
from routing.engine.registry import FIRST_REGISTRY
from routing.forms.conditions import Conditions
from routing.forms.rules import RuleEditor
from tests.routing.policies.sending import BACKENDS, unchanged_rule

TURNS, CODE, GAIN = {"turns": {"gt": 3}}, {"has_code": {"eq": True}}, {"gain": {"lte": 0.04}}
ALIEN = {"not": {"language": {"in": ["en"]}}}
NESTED = {"all": [GAIN, {"any": [TURNS, {"all": [CODE, ALIEN]}]}]}


def editor(when: Any, sent: Any = None) -> RuleEditor:
    rule = {"id": "one", "when": when, "then": {"refuse": True}}
    return RuleEditor(rule=rule, registry=FIRST_REGISTRY, backends=BACKENDS, taken=(), sent=sent)


def after(when: Any, *steps: str, **fields: str) -> RuleEditor:
    """The form after these buttons, pressed one after the other."""
    page = editor(when)
    for act in steps:
        sent = unchanged_rule(page, act)
        for name, value in fields.items():
            sent[name.replace("_1", "-1").replace("_2", "-2")] = value
        page = editor(when, sent)
    return page


def saved(when: Any, page: RuleEditor) -> Any:
    again = editor(when, unchanged_rule(page))
    assert again.is_valid(), (again.words.errors, again.conditions.error)
    return again.built()["when"]


def places(page: RuleEditor) -> list[str]:
    return [node.label for node in page.conditions.nodes]


def test_groups_have_the_labels_that_people_say() -> None:
    assert places(editor(NESTED)) == [
        "Condition 1",
        "Group 2: any of",
        "Condition 2.1",
        "Group 2.2: all of",
        "Condition 2.2.1",
        "Group 2.2.2: not",
        "Condition 2.2.2.1",
    ]


def test_a_condition_is_added_to_a_group_inside_a_group() -> None:
    page = after(NESTED, "add:3", **{"add_signal-3": "wants_json"})
    assert page.conditions.focus is not None
    assert page.conditions.focus[0].place == "2.2.3"
    inner = saved(NESTED, page)["all"][1]["any"][1]["all"]
    assert inner == [CODE, ALIEN, {"wants_json": {"eq": True}}]


def test_a_group_is_added_inside_a_group_and_must_not_stay_empty() -> None:
    page = after(NESTED, "group:1")
    assert places(page)[-1] == "Group 2.3: all of"
    judged = editor(NESTED, unchanged_rule(page))
    assert not judged.is_valid()
    assert "is empty" in str(judged.conditions.nodes[-1].form.errors["kind"])
    filled = editor(NESTED, _typed(page, "add:7", {"add_signal-7": "has_images"}))
    assert saved(NESTED, filled)["all"][1]["any"][2] == {"all": [{"has_images": {"eq": True}}]}


def _typed(page: RuleEditor, act: str, fields: dict[str, str]) -> Any:
    sent = unchanged_rule(page, act)
    for name, value in fields.items():
        sent[name] = value
    return sent


def test_the_kind_of_a_group_is_changed_and_the_rest_stays() -> None:
    changed = editor(NESTED, _typed(editor(NESTED), "save", {"c-1-kind": "all"}))
    assert changed.is_valid()
    assert changed.built()["when"] == {"all": [GAIN, {"all": [TURNS, {"all": [CODE, ALIEN]}]}]}


def test_not_over_several_is_refused_beside_its_field() -> None:
    changed = editor(NESTED, _typed(editor(NESTED), "save", {"c-1-kind": "not"}))
    assert not changed.is_valid()
    assert "there are 2" in str(changed.conditions.nodes[1].form.errors["kind"])


def test_the_whole_rule_may_be_turned_around_when_it_is_one_condition() -> None:
    one = editor(GAIN, _typed(editor(GAIN), "save", {"match": "not"}))
    assert one.is_valid()
    assert one.built()["when"] == {"not": GAIN}
    several = editor(NESTED, _typed(editor(NESTED), "save", {"match": "not"}))
    assert not several.is_valid()
    assert "there are 2" in str(several.words.errors["match"])


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        # a condition goes into the group that it meets
        ("down:0", {"all": [{"any": [GAIN, TURNS, {"all": [CODE, ALIEN]}]}]}),
        # at the end it leaves the group
        ("up:2", {"all": [GAIN, TURNS, {"any": [{"all": [CODE, ALIEN]}]}]}),
        # a group passes what it meets
        ("up:3", {"all": [GAIN, {"any": [{"all": [CODE, ALIEN]}, TURNS]}]}),
        ("up:1", {"all": [{"any": [TURNS, {"all": [CODE, ALIEN]}]}, GAIN]}),
        # "not" is full, so it is passed
        ("down:4", {"all": [GAIN, {"any": [TURNS, {"all": [ALIEN, CODE]}]}]}),
        ("down:5", {"all": [GAIN, {"any": [TURNS, {"all": [CODE]}, ALIEN]}]}),
        ("drop:3", {"all": [GAIN, {"any": [TURNS]}]}),
    ],
)
def test_a_step_changes_the_tree(act: str, expected: Any) -> None:
    assert saved(NESTED, after(NESTED, act)) == expected


def test_the_focus_stays_on_the_button_that_moves_while_it_still_can() -> None:
    page = after({"all": [GAIN, TURNS, CODE]}, "up:2")
    assert page.conditions.focus == (page.conditions.nodes[1], "up")
    page = after({"all": [GAIN, TURNS, CODE]}, "up:1")
    assert page.conditions.focus == (page.conditions.nodes[0], "down")


def test_what_was_typed_in_a_group_survives_a_step() -> None:
    page = editor(NESTED, _typed(editor(NESTED), "up:2", {"c-2-value": "half-typed"}))
    assert page.conditions.nodes[1].form["value"].value() == "half-typed"


def test_the_limits_are_told_in_words() -> None:
    deep = {"all": [{"any": [{"all": [{"any": [GAIN]}]}]}]}
    assert "at most 4 deep" in after(deep, "group:2").conditions.error
    full = {"all": [{"turns": {"gt": n}} for n in range(MAX_LEAVES)]}
    page = after(full, "add", add_signal="gain")
    assert "at most 64 conditions" in page.conditions.error
    assert len(page.conditions.nodes) == MAX_LEAVES
    assert "there is one already" in after({"not": GAIN}, "group").conditions.error


@pytest.mark.parametrize("depth", ["-3", "99", "x", ""])
def test_an_invented_depth_makes_no_impossible_tree(depth: str) -> None:
    fields = {f"c-{n}-depth": depth for n in range(7)}
    page = editor(NESTED, _typed(editor(NESTED), "kind:1", fields))
    assert max(node.depth for node in page.conditions.nodes) <= 4
    assert len(page.conditions.nodes) == 7


def test_a_line_break_in_a_value_is_kept_because_no_field_shows_it() -> None:
    when = {"any": [{"not": {"client": {"eq": "two\nlines"}}}, GAIN]}
    assert saved(when, after(when, "kind:0")) == when


# a rule that is opened and saved is the same rule, whatever it looks like

WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12
).filter(str.strip)
OPEN = st.sampled_from(["client", "step"])
LEAF = st.one_of(
    st.builds(lambda s, o, w: {s: {o: w}}, OPEN, st.sampled_from(["eq", "starts_with"]), WORDS),
    st.builds(
        lambda s, o, w: {s: {o: w}},
        OPEN,
        st.sampled_from(["in", "not_in"]),
        st.lists(WORDS, min_size=1, max_size=4, unique=True),
    ),
    st.builds(
        lambda o, n: {"gain": {o: n}},
        st.sampled_from(["lt", "gte", "eq"]),
        st.integers(-1_000_000, 1_000_000).map(lambda n: n / 1_000_000),
    ),
    st.builds(
        lambda n: {"turns": {"between": sorted(n)}},
        st.lists(st.integers(0, 90), min_size=2, max_size=2),
    ),
    st.builds(
        lambda o, t: {"personal_data": {o: t}},
        st.sampled_from(["contains_any", "contains_all", "contains_none"]),
        st.lists(st.sampled_from(["iban", "email", "secret"]), min_size=1, unique=True),
    ),
    st.sampled_from(
        [
            {"data_class": {"eq": "restricted"}},
            {"data_class": {"not_in": ["restricted", "public"]}},
            {"topic": {"starts_with": "me"}},
            {"score": {"absent": True}},
            {"personal_data": {"present": True}},
            {"has_code": {"ne": False}},
        ]
    ),
)


def tree(depth: int) -> Any:
    if depth == 0:
        return LEAF
    inner = tree(depth - 1)
    items = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        LEAF,
        st.builds(lambda kind, some: {kind: some}, st.sampled_from(["all", "any"]), items),
        st.builds(lambda one: {"not": one}, inner),
    )


@settings(max_examples=60, deadline=None)
@given(tree(4))
def test_form_round_trip(when: Any) -> None:
    assume(ClauseReader(FIRST_REGISTRY).condition(when, "when") is not None)
    shown = Conditions(FIRST_REGISTRY, when)
    assert all(node.kind != "kept" for node in shown.nodes)
    assert digest(saved(when, editor(when))) == digest(when)


@settings(max_examples=60, deadline=None)
@given(tree(4), st.lists(st.integers(0, 400), min_size=1, max_size=5))
def test_no_row_of_steps_makes_what_the_language_refuses(when: Any, presses: list[int]) -> None:
    """Every button that the page offers, in any order: depth and size stay within the limits."""
    page = editor(when)
    for press in presses:
        acts = [
            f"{verb}:{node.number}"
            for node in page.conditions.nodes
            for verb, offered in (
                ("up", node.may_go_up),
                ("down", node.may_go_down),
                ("drop", True),
                ("group", node.may_hold_groups and node.has_room),
                ("kind", node.is_group),
            )
            if offered
        ] or ["group"]
        page = editor(when, unchanged_rule(page, acts[press % len(acts)]))
        assert page.conditions.error == ""
    again = editor(when, unchanged_rule(page))
    if again.is_valid():
        reader = ClauseReader(FIRST_REGISTRY)
        assert reader.condition(again.built()["when"], "when") is not None, reader.findings
