"""Opening a form and saving it unchanged must not change the policy by one byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from routing.engine.canonical import digest
from routing.engine.registry import FIRST_REGISTRY
from routing.forms.answers import AnswersForm, LimitsForm
from routing.forms.outcomes import OutcomeForm
from routing.forms.rules import RuleEditor
from routing.forms.sections import FallbacksForm, ThresholdsForm
from routing.services.documents import rules_of, with_rule, with_section
from routing.services.interchange import read_document, to_yaml
from tests.engine.cases import EXAMPLE
from tests.routing.policies.sending import BACKENDS, unchanged, unchanged_rule

DEMO = read_document(
    (Path(__file__).resolve().parents[3] / "config" / "demo" / "policy.yaml").read_text()
)
# Every way of writing that a form could be tempted to tidy up.
UNTIDY: dict[str, Any] = {
    "schema": "signalbox.policy/1",
    "route": "support",
    "owner": "support-platform",
    "rules": [
        {
            "id": "one",
            "enabled": True,
            "note": "Two lines\nand a space ",
            "when": {"score": {"between": [0.2, 0.35]}},
            "then": {"safe_default": {"text": "Later.\n"}, "data_class": "confidential"},
        },
        {
            "id": "two",
            "when": {"any": [{"data_class": {"in": ["restricted", "internal"]}}]},
            "then": {
                "route": {"targets": ["gone", "stand-in-large"]},
                "on_no_target": {"refuse": {"message": "Not today."}},
                "sticky": True,
                "max_cost_usd": 0.05,
            },
        },
        {
            "id": "three",
            "when": {"not": {"any": [{"turns": {"gt": 3}}, {"language": {"in": ["de", "no"]}}]}},
            "then": {"escalate": {"tier": "llm"}},
        },
        {
            "id": "four",
            "when": {"all": [{"step": {"eq": "draft, then send"}}, {"client": {"present": True}}]},
            "then": {"hold": {"queue": "q", "hold_s": 5, "on_timeout": "pending", "cap_pct": 2.5}},
        },
    ],
    "default": {"then": {"refuse": True}},
    "fallbacks": {"failure": {"gone": []}, "content_policy": []},
    "on_classifier_failure": {"public": {"refuse": {"message": "No."}}, "default": "hold"},
    "session": {"sticky": False},
    "limits": {},
}
DOCUMENTS = [
    pytest.param(DEMO, id="demo"),
    pytest.param(EXAMPLE, id="example"),
    pytest.param(UNTIDY, id="untidy"),
]


def saved_unchanged(document: dict[str, Any], rule: dict[str, Any]) -> dict[str, Any]:
    editor = RuleEditor(rule=rule, registry=FIRST_REGISTRY, backends=BACKENDS, taken=())
    again = RuleEditor(
        rule=rule,
        registry=FIRST_REGISTRY,
        backends=BACKENDS,
        taken=(),
        sent=unchanged_rule(editor),
    )
    assert again.is_valid(), (again.words.errors, again.outcome.errors, again.conditions.error)
    return with_rule(document, again.built(), replaces=rule["id"])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_saving_every_rule_unchanged_keeps_the_digest(document: dict[str, Any]) -> None:
    changed = document
    for rule in rules_of(document):
        changed = saved_unchanged(changed, rule)
    assert digest(changed) == digest(document)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_saving_the_default_unchanged_keeps_the_digest(document: dict[str, Any]) -> None:
    then = document["default"]["then"]
    shown = OutcomeForm(prefix="then", then=then, backends=BACKENDS, allow_next=False)
    form = OutcomeForm(
        unchanged(shown), prefix="then", then=then, backends=BACKENDS, allow_next=False
    )
    assert form.is_valid(), form.errors
    changed = with_section(document, "default", {"then": form.outcome()})
    assert digest(changed) == digest(document)


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize(
    ("kind", "extra"),
    [
        (ThresholdsForm, {"registry": FIRST_REGISTRY}),
        (FallbacksForm, {"backends": BACKENDS}),
        (AnswersForm, {"backends": BACKENDS}),
        (LimitsForm, {}),
    ],
)
def test_saving_a_section_unchanged_keeps_the_digest(
    document: dict[str, Any], kind: Any, extra: dict[str, Any]
) -> None:
    shown = kind(document=document, **extra)
    form = kind(unchanged(shown), document=document, **extra)
    assert form.is_valid(), form.errors
    assert digest(form.built()) == digest(document)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_export_and_import_keep_the_digest(document: dict[str, Any]) -> None:
    assert digest(read_document(to_yaml(document))) == digest(document)
