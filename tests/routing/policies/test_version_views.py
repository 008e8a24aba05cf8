"""A version from submission to roll-back on screen, documents, and simulation."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import Event
from routing.engine.canonical import digest
from routing.models import Decision, KillSwitch, PolicyVersion, Route
from routing.queries.policies import waiting_for
from routing.services import policies, registry
from routing.services.interchange import read_document
from tests.routing.conftest import policy_document

People = dict[str, Any]


def url(name: str, version: PolicyVersion, *more: Any) -> str:
    return reverse(name, args=[version.route.slug, version.number, *more])


def submitted(people: People, **changed: Any) -> PolicyVersion:
    document = policy_document(owner="second-owner", **changed)
    version = policies.start_draft(slug="support", by=people["arjun"], document=document)
    return policies.submit_version(version=version, by=people["arjun"], summary="Second")


def test_a_version_is_submitted_approved_and_activated_by_two_people(
    draft: PolicyVersion, author: Client, people: People, signed_in: Any
) -> None:
    policies.edit_draft(
        version=draft,
        document=policy_document(owner="second-owner"),
        revision=draft.revision,
        by=draft.author,
    )
    author.post(url("submit-version", draft), {"summary": "Another owner"})
    approver = signed_in("petra")
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
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    version = submitted(people)
    people["arjun"].groups.add(*people["petra"].groups.all())
    client = signed_in("arjun")
    assert "Give verdict" not in client.get(version.get_absolute_url()).content.decode()
    answer = client.post(url("judge-version", version), {"verdict": "approve", "comment": "Mine"})
    assert answer.status_code == 403
    denied = Event.objects.filter(kind="access.denied", object_id=str(version))
    assert denied.count() == 1


def test_a_verdict_without_a_comment_is_shown_again(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    version = submitted(people)
    answer = signed_in("petra").post(
        url("judge-version", version), {"verdict": "reject", "comment": " "}
    )
    assert answer.status_code == 422
    version.refresh_from_db()
    assert version.state == "in_review"


def test_a_late_verdict_gets_409_and_says_where_it_stands(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    version = submitted(people)
    policies.withdraw_version(version=version, by=people["arjun"], reason="Oops")
    answer = signed_in("petra").post(
        url("judge-version", version), {"verdict": "approve", "comment": "Good."}
    )
    assert answer.status_code == 409
    assert "withdrawn" in answer.content.decode()


def test_a_version_that_must_rebase_says_so_before_anyone_tries(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    version, faster = submitted(people), submitted(people)
    policies.judge_version(version=faster, by=people["petra"], verdict="approve", comment="Ok.")
    policies.activate_version(version=faster, by=people["olivia"], reason="Go")
    page = signed_in("petra").get(version.get_absolute_url()).content.decode()
    assert "cannot be activated as it is" in page


def test_an_operator_rolls_back_from_the_route_with_a_reason(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    version = submitted(people)
    policies.judge_version(version=version, by=people["petra"], verdict="approve", comment="Ok.")
    policies.activate_version(version=version, by=people["petra"], reason="Go")
    client = signed_in("olivia")
    to = reverse("roll-back", args=["support"])
    assert client.post(to, {"to": "1", "reason": ""}).status_code == 422
    assert client.post(to, {"to": "1", "reason": "Errors rise"}).status_code == 303
    assert policies.active_version(version.route) == active_version
    assert signed_in("arjun").post(to, {"to": "2"}).status_code == 403


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
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    client = signed_in("ada")
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
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    from routing.services.simulation import EXAMPLES

    client = signed_in("ada")
    for number in range(len(EXAMPLES)):
        answer = client.post(url("simulate-version", active_version), {"example": str(number)})
        assert answer.status_code == 200
        assert answer.context["decision"]["sentence"]


def test_a_simulation_obeys_the_kill_switch(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    registry.engage_switch(
        scope=KillSwitch.Scope.ROUTE, target="support", by=people["olivia"], reason="Stop"
    )
    answer = signed_in("ada").post(
        url("simulate-version", active_version), {"prompt": "Hello", "data_class": "internal"}
    )
    assert answer.context["decision"]["backend"] is None


def test_the_notice_of_a_prompt_too_long_is_a_form_error(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    answer = signed_in("ada").post(
        url("simulate-version", active_version), {"prompt": "x" * 30_000, "data_class": "internal"}
    )
    assert answer.status_code == 422


def test_an_approver_sees_how_many_versions_wait(
    active_version: PolicyVersion, people: People
) -> None:
    version = submitted(people)
    assert waiting_for(people["petra"]) == 1
    assert waiting_for(people["arjun"]) is None
    policies.judge_version(version=version, by=people["petra"], verdict="approve", comment="Ok.")
    assert waiting_for(people["petra"]) == 0
