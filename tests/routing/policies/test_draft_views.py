"""The draft editor by plain POST without a script, and when two tabs collide."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from routing.engine.registry import FIRST_REGISTRY
from routing.forms.rules import RuleEditor
from routing.forms.sections import ThresholdsForm
from routing.models import Backend, PolicyVersion
from routing.services import policies
from tests.routing.conftest import policy_document
from tests.routing.policies.sending import unchanged, unchanged_rule

People = dict[str, Any]


def url(name: str, version: PolicyVersion, *more: Any) -> str:
    return reverse(name, args=[version.route.slug, version.number, *more])


def test_an_author_starts_a_draft_from_the_active_version(
    active_version: PolicyVersion, author: Client
) -> None:
    answer = author.post(reverse("start-draft", args=["support"]))
    draft = PolicyVersion.objects.get(state="draft")
    assert answer["Location"] == draft.get_absolute_url()
    assert draft.digest == active_version.digest


@pytest.mark.parametrize("who", ["olivia", "petra", "rui", "ada", "sam"])
def test_only_authors_reach_the_editor(
    draft: PolicyVersion, people: People, who: str, signed_in: Any
) -> None:
    client = signed_in(who)
    for name, more in (
        ("draft-rule", ["narrow-work"]),
        ("draft-add-rule", []),
        ("draft-default", []),
        ("draft-thresholds", []),
        ("draft-fallbacks", []),
        ("draft-answers", []),
        ("draft-limits", []),
        ("draft-tests", []),
    ):
        assert client.get(url(name, draft, *more)).status_code == 403
    assert client.post(url("draft-remove-rule", draft, "narrow-work")).status_code == 403
    assert "Add a rule" not in client.get(draft.get_absolute_url()).content.decode()


def test_another_author_does_not_edit_the_draft(
    draft: PolicyVersion, people: People, signed_in: Any
) -> None:
    people["rui"].groups.set(people["arjun"].groups.all())
    answer = signed_in("rui").post(url("draft-remove-rule", draft, "narrow-work"))
    assert answer.status_code == 403


def save_rule(
    author: Client, draft: PolicyVersion, *, headers: Any = None, act: str = "save", **changed: str
) -> Any:
    rule = draft.document["rules"][0]
    editor = RuleEditor(
        rule=rule, registry=FIRST_REGISTRY, backends=list(Backend.objects.all()), taken=()
    )
    sent = unchanged_rule(editor, act)
    sent["revision"] = str(draft.revision)
    for name, value in changed.items():
        sent[name.replace("__", "-")] = value
    return author.post(url("draft-rule", draft, rule["id"]), sent, headers=headers)


def test_a_rule_is_saved_by_a_plain_post(draft: PolicyVersion, author: Client) -> None:
    answer = save_rule(author, draft, c__0__value="350", name="Short and middling")
    assert answer.status_code == 303
    draft.refresh_from_db()
    rule = draft.document["rules"][0]
    assert rule["when"] == {"all": [{"prompt_tokens": {"lte": 350}}]}
    assert rule["name"] == "Short and middling"


def test_saving_a_rule_unchanged_keeps_the_digest(draft: PolicyVersion, author: Client) -> None:
    before = draft.digest
    assert save_rule(author, draft).status_code == 303
    draft.refresh_from_db()
    assert draft.digest == before


def test_a_wrong_value_is_shown_at_its_field_and_nothing_is_stored(
    draft: PolicyVersion, author: Client
) -> None:
    answer = save_rule(author, draft, c__0__value="many")
    assert answer.status_code == 422
    assert "is no number" in answer.content.decode()
    draft.refresh_from_db()
    assert draft.revision == 1


def test_a_value_outside_the_signal_is_refused_by_the_language(
    draft: PolicyVersion, author: Client
) -> None:
    answer = save_rule(author, draft, c__0__value="-5")
    assert answer.status_code == 422
    assert "so it was not saved" in answer.content.decode()


def test_the_second_of_two_tabs_gets_409_and_keeps_what_was_typed(
    draft: PolicyVersion, author: Client
) -> None:
    seen = draft.revision
    assert save_rule(author, draft, name="First tab").status_code == 303
    answer = save_rule(author, draft, name="Second tab")
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "Second tab" in page
    assert "saved elsewhere" in page
    # Pressing Save again on that page must not win over the first tab.
    assert f'name="revision" value="{seen}"' in page
    draft.refresh_from_db()
    assert draft.document["rules"][0]["name"] == "First tab"


def test_adding_a_condition_stores_nothing_yet(draft: PolicyVersion, author: Client) -> None:
    answer = save_rule(author, draft, act="add", add_signal="gain")
    assert answer.status_code == 200
    assert 'name="c-1-signal" value="gain"' in answer.content.decode()
    draft.refresh_from_db()
    assert draft.revision == 1


def test_rules_are_moved_switched_and_removed_by_buttons(
    draft: PolicyVersion, author: Client
) -> None:
    document = policy_document()
    document["rules"].append({**document["rules"][0], "id": "second"})
    draft = policies.edit_draft(
        version=draft, document=document, revision=draft.revision, by=draft.author
    )

    def press(name: str, rule: str, **more: str) -> list[tuple[str, bool]]:
        draft.refresh_from_db()
        sent = {"revision": str(draft.revision), **more}
        assert author.post(url(name, draft, rule), sent).status_code == 303
        draft.refresh_from_db()
        return [(one["id"], one.get("enabled", True)) for one in draft.document["rules"]]

    assert press("draft-move-rule", "second", to="up") == [("second", True), ("narrow-work", True)]
    assert press("draft-switch-rule", "second", enabled="no")[0] == ("second", False)
    assert press("draft-switch-rule", "second", enabled="yes")[0] == ("second", True)
    assert press("draft-remove-rule", "second") == [("narrow-work", True)]


def test_a_button_from_an_old_page_changes_nothing(draft: PolicyVersion, author: Client) -> None:
    answer = author.post(url("draft-remove-rule", draft, "narrow-work"), {"revision": "99"})
    assert answer.status_code == 409
    draft.refresh_from_db()
    assert draft.document["rules"]


def test_thresholds_are_saved_by_a_plain_post(draft: PolicyVersion, author: Client) -> None:
    shown = ThresholdsForm(document=draft.document, registry=FIRST_REGISTRY)
    sent = unchanged(shown, revision=str(draft.revision), number_0="90")
    assert author.post(url("draft-thresholds", draft), sent).status_code == 303
    draft.refresh_from_db()
    assert draft.document["rules"][0]["when"]["all"][0] == {"prompt_tokens": {"lte": 90}}


@pytest.mark.parametrize(
    "name",
    ["draft-default", "draft-thresholds", "draft-fallbacks", "draft-answers", "draft-limits",
     "draft-tests", "draft-add-rule"],
)  # fmt: skip
def test_every_form_of_a_draft_opens(draft: PolicyVersion, author: Client, name: str) -> None:
    answer = author.get(url(name, draft))
    assert answer.status_code == 200
    assert f'name="revision" value="{draft.revision}"' in answer.content.decode()


def test_a_test_is_added_run_and_removed(draft: PolicyVersion, author: Client) -> None:
    sent = {
        "revision": str(draft.revision),
        "name": "short stays small",
        "given_prompt_tokens": "20",
        "expect_rule": "default",
    }
    assert author.post(url("draft-tests", draft), sent).status_code == 303
    page = author.get(draft.get_absolute_url()).content.decode()
    assert "test_failed" in page
    draft.refresh_from_db()
    removed = author.post(url("draft-remove-test", draft, 0), {"revision": str(draft.revision)})
    assert removed.status_code == 303
    draft.refresh_from_db()
    assert draft.document["tests"] == []


def test_a_step_in_the_conditions_saves_nothing_and_says_where_to_go_on(
    draft: PolicyVersion, author: Client
) -> None:
    page = save_rule(author, draft, act="group", name="Not saved").content.decode()
    assert "<!doctype html>" in page
    assert "Group 2: any of" in page
    assert 'value="Not saved"' in page
    select = page[page.index('<select name="c-1-kind"') :]
    assert "autofocus" in select[: select.index(">")]
    before = draft.document
    draft.refresh_from_db()
    assert draft.document == before


def test_with_a_script_only_the_conditions_come_again(draft: PolicyVersion, author: Client) -> None:
    answer = save_rule(author, draft, act="group", headers={"HX-Request": "true"})
    part = answer.content.decode()
    assert part.lstrip().startswith('<section class="card" id="when"')
    assert "Group 2: any of" in part


def test_a_blocking_finding_names_its_rule_and_bars_submitting(
    draft: PolicyVersion, author: Client
) -> None:
    document = policy_document()
    document["rules"].append(
        {**document["rules"][0], "id": "late", "when": {"all": [{"prompt_tokens": {"lte": 10}}]}}
    )
    policies.edit_draft(version=draft, document=document, revision=draft.revision, by=draft.author)
    page = author.get(draft.get_absolute_url()).content.decode()
    assert url("draft-rule", draft, "late") in page
    assert "never reached" in page
    answer = author.post(url("submit-version", draft), {"summary": "Try it"})
    assert answer.status_code == 422
    draft.refresh_from_db()
    assert draft.state == "draft"
