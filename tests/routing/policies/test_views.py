"""The policy screens by role, by plain POST without a script, and when two people collide."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.ids import uuid7
from audit.models import Event
from routing.engine.canonical import digest
from routing.engine.registry import FIRST_REGISTRY
from routing.forms.rules import RuleEditor
from routing.forms.sections import ThresholdsForm
from routing.models import Backend, Decision, KillSwitch, PolicyVersion, Route
from routing.services import policies, registry
from routing.services.interchange import read_document
from tests.routing.conftest import policy_document
from tests.routing.policies.sending import unchanged, unchanged_rule

People = dict[str, Any]


@pytest.fixture
def draft(active_version: PolicyVersion, people: People) -> PolicyVersion:
    return policies.start_draft(slug="support", by=people["arjun"])


@pytest.fixture
def author(client: Client, people: People) -> Client:
    client.force_login(people["arjun"])
    return client


def signed_in(people: People, who: str) -> Client:
    client = Client()
    client.force_login(people[who])
    return client


def url(name: str, version: PolicyVersion, *more: Any) -> str:
    return reverse(name, args=[version.route.slug, version.number, *more])


def submitted(people: People, **changed: Any) -> PolicyVersion:
    document = policy_document(owner="second-owner", **changed)
    version = policies.start_draft(slug="support", by=people["arjun"], document=document)
    return policies.submit_version(version=version, by=people["arjun"], summary="Second")


# reading


@pytest.mark.parametrize("who", ["olivia", "arjun", "petra", "rui", "ada", "sam"])
def test_everyone_with_a_role_reads_routes_and_versions(
    active_version: PolicyVersion, people: People, who: str
) -> None:
    client = signed_in(people, who)
    for to in (reverse("routes"), reverse("route", args=["support"]), active_version):
        answer = client.get(to if isinstance(to, str) else to.get_absolute_url())
        assert answer.status_code == 200
        assert "Short questions" in answer.content.decode() or to == reverse("routes")


def test_a_person_without_a_role_reads_nothing(
    active_version: PolicyVersion, people: People
) -> None:
    client = signed_in(people, "nobody")
    assert client.get(reverse("routes")).status_code == 403
    assert client.get(active_version.get_absolute_url()).status_code == 403


def test_a_visitor_is_asked_to_sign_in(active_version: PolicyVersion, client: Client) -> None:
    answer = client.get(active_version.get_absolute_url())
    assert answer.status_code == 302
    assert "login" in answer["Location"]


def test_an_unknown_route_or_version_is_a_404(author: Client, route: Route) -> None:
    assert author.get("/routes/nothing/").status_code == 404
    assert author.get("/routes/support/versions/77/").status_code == 404


def test_a_route_without_a_policy_says_what_to_do(author: Client, route: Route) -> None:
    page = author.get(reverse("route", args=["support"])).content.decode()
    assert "No active policy" in page
    assert reverse("import-draft", args=["support"]) in page


def decided(rule: str, **changed: Any) -> None:
    from django.utils import timezone

    values: dict[str, Any] = {
        "at": timezone.now(),
        "deadline_at": timezone.now(),
        "route": "support",
        "client": "help-desk",
        "client_id": "c",
        "request_id": "r",
        "policy": "support@1",
        "policy_digest": "sha256:0",
        "rule": rule,
        "cause": "rule_match",
        "action": "route",
        "outcome": "served",
        "tier": "slm",
        "data_class": "internal",
        **changed,
    }
    Decision.objects.create(id=uuid7(), **values)


def test_the_flow_adds_up_whatever_became_of_the_requests(
    active_version: PolicyVersion, author: Client
) -> None:
    decided("narrow-work")
    decided("narrow-work", cause="uncertain_escalated", tier="llm")
    decided("default", tier="llm")
    decided("default", tier="", action="hold", outcome="served")
    decided("default", tier="", action="safe_default", outcome="safe_default")
    decided("default", tier="", action="refuse", outcome="refused")
    decided("default", tier="llm", outcome="failed")
    decided("gone-rule", tier="llm", outcome="aborted")
    flow = author.get(reverse("route", args=["support"])).context["flow"]
    boxes = {box.look + box.label: box.count for box in flow.outcomes}
    assert flow.requests.count == 8
    assert sum(boxes.values()) == 8
    assert (boxes["slmSmall model (SLM)"], boxes["llmLarger model (LLM)"]) == (2, 2)
    assert flow.escalated == 1
    assert [(rule.name, rule.count) for rule in flow.rules] == [
        ("Short questions", 2),
        ("Default", 5),
        ("gone-rule (earlier version)", 1),
    ]


def test_the_list_shows_shares_and_open_versions(draft: PolicyVersion, author: Client) -> None:
    decided("narrow-work")
    decided("default", tier="llm")
    page = author.get(reverse("routes")).content.decode()
    assert "50\u00a0%" in page
    assert draft.get_absolute_url() in page


def test_an_engaged_switch_is_said_on_the_route(
    active_version: PolicyVersion, people: People
) -> None:
    registry.engage_switch(
        scope=KillSwitch.Scope.ROUTE, target="support", by=people["olivia"], reason="Incident 7"
    )
    page = signed_in(people, "ada").get(reverse("route", args=["support"])).content.decode()
    assert "This route is stopped." in page
    assert "Incident 7" in page


# drafting without a script


def test_an_author_starts_a_draft_from_the_active_version(
    active_version: PolicyVersion, author: Client
) -> None:
    answer = author.post(reverse("start-draft", args=["support"]))
    draft = PolicyVersion.objects.get(state="draft")
    assert answer["Location"] == draft.get_absolute_url()
    assert draft.digest == active_version.digest


@pytest.mark.parametrize("who", ["olivia", "petra", "rui", "ada", "sam"])
def test_only_authors_reach_the_editor(draft: PolicyVersion, people: People, who: str) -> None:
    client = signed_in(people, who)
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


def test_another_author_does_not_edit_the_draft(draft: PolicyVersion, people: People) -> None:
    people["rui"].groups.set(people["arjun"].groups.all())
    answer = signed_in(people, "rui").post(url("draft-remove-rule", draft, "narrow-work"))
    assert answer.status_code == 403


def save_rule(author: Client, draft: PolicyVersion, **changed: str) -> Any:
    rule = draft.document["rules"][0]
    editor = RuleEditor(
        rule=rule, registry=FIRST_REGISTRY, backends=list(Backend.objects.all()), taken=()
    )
    sent = unchanged_rule(editor)
    sent["revision"] = str(draft.revision)
    for name, value in changed.items():
        sent[name.replace("__", "-")] = value
    return author.post(url("draft-rule", draft, rule["id"]), sent)


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
    assert save_rule(author, draft, name="First tab").status_code == 303
    answer = save_rule(author, draft, name="Second tab")
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "Second tab" in page
    assert "saved elsewhere" in page
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


# the life of a version on screen


def test_a_version_is_submitted_approved_and_activated_by_two_people(
    draft: PolicyVersion, author: Client, people: People
) -> None:
    policies.edit_draft(
        version=draft,
        document=policy_document(owner="second-owner"),
        revision=draft.revision,
        by=draft.author,
    )
    author.post(url("submit-version", draft), {"summary": "Another owner"})
    approver = signed_in(people, "petra")
    page = approver.get(draft.get_absolute_url()).content.decode()
    assert "Give verdict" in page
    assert "second-owner" in page
    judged = approver.post(url("judge-version", draft), {"verdict": "approve", "comment": "Good."})
    assert judged.status_code == 303
    done = approver.post(url("activate-version", draft), {"reason": "Agreed window"})
    assert done.status_code == 303
    draft.refresh_from_db()
    assert draft.state == "active"


def test_the_author_sees_why_there_is_no_verdict_to_give(
    active_version: PolicyVersion, author: Client, people: People
) -> None:
    version = submitted(people)
    page = author.get(version.get_absolute_url()).content.decode()
    assert "You wrote this version" in page
    assert "Petra" in page
    assert "Give verdict" not in page


def test_the_author_with_the_approvers_role_is_refused_and_it_is_recorded(
    active_version: PolicyVersion, people: People
) -> None:
    version = submitted(people)
    people["arjun"].groups.add(*people["petra"].groups.all())
    client = signed_in(people, "arjun")
    assert "Give verdict" not in client.get(version.get_absolute_url()).content.decode()
    answer = client.post(url("judge-version", version), {"verdict": "approve", "comment": "Mine"})
    assert answer.status_code == 403
    denied = Event.objects.filter(kind="access.denied", object_id=str(version))
    assert denied.count() == 1


def test_a_verdict_without_a_comment_is_shown_again(
    active_version: PolicyVersion, people: People
) -> None:
    version = submitted(people)
    answer = signed_in(people, "petra").post(
        url("judge-version", version), {"verdict": "reject", "comment": " "}
    )
    assert answer.status_code == 422
    version.refresh_from_db()
    assert version.state == "in_review"


def test_a_late_verdict_gets_409_and_says_where_it_stands(
    active_version: PolicyVersion, people: People
) -> None:
    version = submitted(people)
    policies.withdraw_version(version=version, by=people["arjun"], reason="Oops")
    answer = signed_in(people, "petra").post(
        url("judge-version", version), {"verdict": "approve", "comment": "Good."}
    )
    assert answer.status_code == 409
    assert "withdrawn" in answer.content.decode()


def test_a_version_that_must_rebase_says_so_before_anyone_tries(
    active_version: PolicyVersion, people: People
) -> None:
    version = submitted(people)
    PolicyVersion.objects.filter(pk=version.pk).update(base=None)
    page = signed_in(people, "petra").get(version.get_absolute_url()).content.decode()
    assert "cannot be activated as it is" in page


def test_an_operator_rolls_back_from_the_route_with_a_reason(
    active_version: PolicyVersion, people: People
) -> None:
    version = submitted(people)
    policies.judge_version(version=version, by=people["petra"], verdict="approve", comment="Ok.")
    policies.activate_version(version=version, by=people["petra"], reason="Go")
    client = signed_in(people, "olivia")
    to = reverse("roll-back", args=["support"])
    assert client.post(to, {"to": "1", "reason": ""}).status_code == 422
    assert client.post(to, {"to": "1", "reason": "Errors rise"}).status_code == 303
    assert policies.active_version(version.route) == active_version
    assert signed_in(people, "arjun").post(to, {"to": "2"}).status_code == 403


# documents and simulation


def test_export_and_import_give_the_same_digest(
    active_version: PolicyVersion, author: Client
) -> None:
    exported = author.get(url("export-version", active_version))
    assert exported["Content-Disposition"] == 'attachment; filename="support-1.yaml"'
    text = exported.content.decode()
    assert digest(read_document(text)) == active_version.digest
    answer = author.post(reverse("import-draft", args=["support"]), {"text": text})
    assert answer.status_code == 303
    assert PolicyVersion.objects.get(state="draft").digest == active_version.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Paste a document"),
        ("a: [", "Line 1"),
        ("schema: signalbox.policy/1", "is missing"),
        ("route: other", "is missing"),
    ],
)
def test_a_wrong_document_is_refused_with_its_place(
    author: Client, route: Route, text: str, said: str
) -> None:
    answer = author.post(reverse("import-draft", args=["support"]), {"text": text})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not PolicyVersion.objects.exists()


def test_the_document_of_another_route_is_refused(author: Client, active_version: Any) -> None:
    text = author.get(url("export-version", active_version)).content.decode()
    answer = author.post(
        reverse("import-draft", args=["support"]),
        {"text": text.replace("route: support", "route: sales", 1)},
    )
    assert answer.status_code == 422


def test_a_simulation_shows_the_decision_and_stores_nothing(
    active_version: PolicyVersion, people: People
) -> None:
    client = signed_in(people, "ada")
    before = Event.objects.count()
    answer = client.post(
        url("simulate-version", active_version),
        {"prompt": "Where is my order?", "data_class": "internal"},
    )
    page = answer.content.decode()
    assert answer.status_code == 200
    assert answer.context["decision"]["rule"] == "narrow-work"
    assert answer.context["decision"]["backend"] == "small"
    assert "Where is my order?" in page
    assert (Event.objects.count(), Decision.objects.count()) == (before, 0)


def test_every_saved_example_can_be_simulated(
    active_version: PolicyVersion, people: People
) -> None:
    from routing.services.simulation import EXAMPLES

    client = signed_in(people, "ada")
    for number in range(len(EXAMPLES)):
        answer = client.post(url("simulate-version", active_version), {"example": str(number)})
        assert answer.status_code == 200
        assert answer.context["decision"]["sentence"]


def test_a_simulation_obeys_the_kill_switch(active_version: PolicyVersion, people: People) -> None:
    registry.engage_switch(
        scope=KillSwitch.Scope.ROUTE, target="support", by=people["olivia"], reason="Stop"
    )
    answer = signed_in(people, "ada").post(
        url("simulate-version", active_version), {"prompt": "Hello", "data_class": "internal"}
    )
    assert answer.context["decision"]["backend"] is None


def test_the_notice_of_a_prompt_too_long_is_a_form_error(
    active_version: PolicyVersion, people: People
) -> None:
    answer = signed_in(people, "ada").post(
        url("simulate-version", active_version), {"prompt": "x" * 30_000, "data_class": "internal"}
    )
    assert answer.status_code == 422
