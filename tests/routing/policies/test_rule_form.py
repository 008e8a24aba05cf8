"""The form of one rule: rows come and go without a script, and what it builds is a rule."""

from __future__ import annotations

from typing import Any

import pytest

from routing.engine.document import parse_policy
from routing.engine.registry import FIRST_REGISTRY
from routing.forms.rules import RuleEditor
from routing.forms.sections import FallbacksForm, ThresholdsForm
from routing.services.documents import with_rule
from tests.routing.conftest import policy_document
from tests.routing.policies.sending import BACKENDS, unchanged, unchanged_rule

RULE: dict[str, Any] = {
    "id": "narrow-work",
    "name": "Short questions",
    "when": {"all": [{"prompt_tokens": {"lte": 200}}, {"topic": {"in": ["legal"]}}]},
    "then": {"route": {"tier": "slm", "targets": ["smollm2-135m"]}},
}


def editor(rule: dict[str, Any] | None = RULE, sent: Any = None, taken: Any = ()) -> RuleEditor:
    return RuleEditor(rule=rule, registry=FIRST_REGISTRY, backends=BACKENDS, taken=taken, sent=sent)


def test_a_condition_is_added_without_losing_what_was_typed() -> None:
    sent = unchanged_rule(editor(), act="add")
    sent["add_signal"] = "gain"
    sent["name"] = "Typed but not saved"
    again = editor(sent=sent)
    assert [node.signal.name for node in again.conditions.nodes if node.signal] == [
        "prompt_tokens",
        "topic",
        "gain",
    ]
    assert again.words["name"].value() == "Typed but not saved"
    assert not again.is_saving


def test_a_condition_is_dropped() -> None:
    again = editor(sent=unchanged_rule(editor(), act="drop:0"))
    assert [node.signal.name for node in again.conditions.nodes if node.signal] == ["topic"]


def test_dropping_then_saving_removes_the_condition_from_the_rule() -> None:
    dropped = editor(sent=unchanged_rule(editor(), act="drop:0"))
    saved = editor(sent=unchanged_rule(dropped))
    assert saved.is_valid()
    assert saved.built()["when"] == {"all": [{"topic": {"in": ["legal"]}}]}


def test_a_new_rule_is_one_that_the_language_can_read() -> None:
    first = editor(rule=None, sent=unchanged_rule(editor(rule=None), act="add"))
    sent = unchanged_rule(first, act="add")
    sent["add_signal"] = "personal_data"
    second = editor(rule=None, sent=sent)
    sent = unchanged_rule(second)
    sent["id"] = "person-needed"
    sent["then-action"] = "hold"
    sent["then-queue"], sent["then-hold_s"], sent["then-on_timeout"] = "privacy", "25", "refuse"
    sent.setlist("c-0-value", ["iban", "secret"])
    made = editor(rule=None, sent=sent)
    assert made.is_valid(), (made.outcome.errors, made.conditions.nodes[0].form.errors)
    rule = made.built()
    assert rule["then"] == {"hold": {"queue": "privacy", "hold_s": 25, "on_timeout": "refuse"}}
    assert parse_policy(with_rule(policy_document(), rule, replaces=None)).rules[1].id == rule["id"]


def test_a_rule_without_conditions_is_refused() -> None:
    made = editor(rule={**RULE, "when": {"all": []}})
    again = editor(rule={**RULE, "when": {"all": []}}, sent=unchanged_rule(made))
    assert not again.is_valid()
    assert "at least one condition" in again.conditions.error


@pytest.mark.parametrize(
    ("operator", "value", "said"),
    [
        ("lte", "many", "is no number"),
        ("lte", "NaN", "is no number"),
        ("lte", "", "Give a value"),
        ("between", "10", "two numbers"),
    ],
)
def test_a_value_that_does_not_fit_is_named_at_its_row(
    operator: str, value: str, said: str
) -> None:
    sent = unchanged_rule(editor())
    sent["c-0-operator"], sent["c-0-value"] = operator, value
    again = editor(sent=sent)
    assert not again.is_valid()
    assert said in str(again.conditions.nodes[0].form.errors["value"])


def test_one_value_needs_exactly_one_tick() -> None:
    sent = unchanged_rule(editor())
    sent["c-1-operator"] = "eq"
    sent.setlist("c-1-value", ["legal", "medical"])
    assert not editor(sent=sent).is_valid()


def test_only_the_fields_of_the_chosen_action_are_read() -> None:
    sent = unchanged_rule(editor())
    sent["then-action"], sent["then-message"] = "refuse", "Ask a person."
    again = editor(sent=sent)
    assert again.is_valid()
    assert again.built()["then"] == {"refuse": {"message": "Ask a person."}}


def test_a_hold_without_a_queue_is_refused() -> None:
    sent = unchanged_rule(editor())
    sent["then-action"] = "hold"
    again = editor(sent=sent)
    assert not again.is_valid()
    assert {"queue", "hold_s"} <= set(again.outcome.errors)


def test_an_id_that_another_rule_has_is_refused() -> None:
    again = editor(sent=unchanged_rule(editor()), taken=["narrow-work"])
    assert not again.is_valid()


def test_renaming_a_rule_takes_its_tests_along() -> None:
    document = policy_document(
        tests=[{"given": {"prompt_tokens": 3}, "expect": {"rule": "narrow-work"}}]
    )
    renamed = {**document["rules"][0], "id": "short-work"}
    changed = with_rule(document, renamed, replaces="narrow-work")
    assert changed["tests"][0]["expect"] == {"rule": "short-work"}
    assert document["tests"][0]["expect"] == {"rule": "narrow-work"}


def test_a_threshold_deep_in_a_condition_is_found_and_changed() -> None:
    document = policy_document()
    document["rules"][0]["when"] = {"not": {"any": [{"gain": {"between": [0.1, 0.2]}}]}}
    shown = ThresholdsForm(document=document, registry=FIRST_REGISTRY)
    sent = unchanged(shown)
    sent["number_1"] = "0.25"
    form = ThresholdsForm(sent, document=document, registry=FIRST_REGISTRY)
    assert form.is_valid()
    assert form.built()["rules"][0]["when"]["not"]["any"][0]["gain"]["between"] == [0.1, 0.25]


def test_a_threshold_outside_the_signal_is_refused() -> None:
    document = policy_document()
    document["rules"][0]["when"] = {"score": {"lt": 0.5}}
    form = ThresholdsForm({"number_0": "1.5"}, document=document, registry=FIRST_REGISTRY)
    assert not form.is_valid()


def test_a_backend_is_no_fallback_of_itself() -> None:
    document = policy_document()
    sent = unchanged(FallbacksForm(document=document, backends=BACKENDS))
    sent["failure_0_0"] = "smollm2-135m"
    form = FallbacksForm(sent, document=document, backends=BACKENDS)
    assert not form.is_valid()
