"""The screens of a version's life: meaning, approvers, rebase, schedule, replicas."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from routing.models import PolicyVersion, Replica, SnapshotRevision
from routing.services import policies, schedule
from tests.routing.conftest import policy_document

People = dict[str, Any]
HTMX = {"HTTP_HX_REQUEST": "true"}


def url(name: str, version: PolicyVersion, *more: Any) -> str:
    return reverse(name, args=[version.route.slug, version.number, *more])


def changed(threshold: int = 300, **more: Any) -> dict[str, Any]:
    document = copy.deepcopy(policy_document(**more))
    document["rules"][0]["when"]["all"][0]["prompt_tokens"]["lte"] = threshold
    return document


def begin(people: People, document: dict[str, Any], by: str = "arjun") -> PolicyVersion:
    return policies.start_draft(slug="support", by=people[by], document=document)


def approved(people: People, document: dict[str, Any], by: str = "arjun") -> PolicyVersion:
    version = begin(people, document, by)
    policies.submit_version(version=version, by=people[by], summary="A change")
    for who in ("petra", "pavel"):
        if version.state != "approved":
            policies.judge_version(
                version=version, by=people[who], verdict="approve", comment="Ok."
            )
            version.refresh_from_db()
    return version


def overtaken(people: People) -> PolicyVersion:
    """A draft of arjun's whose base is not active any more; both changed the same rule."""
    mine = begin(people, changed(300))
    people["rui"].groups.add(*people["arjun"].groups.all())
    faster = approved(people, changed(400), by="rui")
    policies.activate_version(version=faster, by=people["olivia"], reason="Go")
    return mine


# meaning


def test_the_version_page_says_what_is_newly_possible_with_a_request(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    version = begin(people, changed())
    policies.submit_version(version=version, by=people["arjun"], summary="More")
    page = signed_in("petra").get(version.get_absolute_url())
    text = page.content.decode()
    (group,) = page.context["meaning"].groups
    assert group[0] == "newly_possible"
    assert "Data of every class may now reach small" in text
    assert "Two approvers" in text
    assert "it changes what happens to restricted data" in text
    assert "may still approve: Pavel, Petra" in text or "may still approve: Petra, Pavel" in text


def test_the_request_of_a_change_opens_the_simulation_of_both_versions(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    version = begin(people, changed())
    client = signed_in("arjun")
    shown = client.get(version.get_absolute_url()).context["meaning"].groups[0][2][0]
    answer = client.get(shown.simulate_url)
    assert answer.status_code == 200
    given = json.loads(parse_qs(urlsplit(shown.simulate_url).query)["signals"][0])
    assert given == json.loads(answer.context["form"]["signals"].value())
    before, after = answer.context["sides"]
    assert before["decision"]["rule"] == shown.change.old_rule == "default"
    assert after["decision"]["rule"] == shown.change.new_rule == "narrow-work"


@pytest.mark.parametrize("signals", ["{", "[]", '{"nonsense": 1}', '{"prompt_tokens": "many"}'])
def test_signals_that_are_none_are_a_form_error(
    active_version: PolicyVersion, people: People, signed_in: Any, signals: str
) -> None:
    answer = signed_in("ada").get(url("witness", active_version), {"signals": signals})
    assert answer.status_code == 422
    assert "sides" not in answer.context


def test_a_first_version_has_no_meaning_to_compare(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    page = signed_in("ada").get(active_version.get_absolute_url()).content.decode()
    assert "every decision is new" in page
    assert signed_in("ada").get(url("witness", active_version)).status_code == 200


def test_the_counted_changes_are_a_page_and_a_fragment(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    version = begin(people, changed())
    client = signed_in("ada")
    whole = client.get(url("version-meaning", version)).content.decode()
    part = client.get(url("version-meaning", version), **HTMX).content.decode()
    assert "<html" in whole and "<html" not in part
    assert "No recorded decision of the last 14 days" in part


# approvers


def test_who_has_judged_is_not_named_as_one_who_still_may(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    version = begin(people, changed())
    policies.submit_version(version=version, by=people["arjun"], summary="More")
    policies.judge_version(version=version, by=people["petra"], verdict="approve", comment="Ok.")
    page = signed_in("ada").get(version.get_absolute_url())
    assert [str(one) for one in page.context["approvers"]] == ["Pavel"]
    assert "1 of 2" in page.content.decode()


def test_a_draft_says_that_it_will_need_two(
    active_version: PolicyVersion, people: People, author: Client
) -> None:
    page = author.get(begin(people, changed()).get_absolute_url()).content.decode()
    assert "Two approvers will be needed" in page


# rebase


def test_the_author_rebases_and_settles_the_conflict_by_buttons(
    active_version: PolicyVersion, people: People, author: Client
) -> None:
    mine = overtaken(people)
    assert "Rebase onto version" in author.get(mine.get_absolute_url()).content.decode()
    answer = author.post(url("rebase-version", mine))
    draft = PolicyVersion.objects.get(state="draft")
    assert answer["Location"] == draft.get_absolute_url()
    page = author.get(draft.get_absolute_url()).content.decode()
    assert "Conflicts of the rebase" in page and "prompt has at most 300 tokens" in page
    settle = url("settle-conflict", draft, 0)
    late = author.post(settle, {"keep": "mine", "revision": "99"})
    assert late.status_code == 409
    done = author.post(settle, {"keep": "mine", "revision": str(draft.revision)})
    assert done.status_code == 303
    draft.refresh_from_db()
    assert (draft.conflicts, draft.document) == ([], changed(300))


def test_a_submission_with_open_conflicts_is_refused_with_words(
    active_version: PolicyVersion, people: People, author: Client
) -> None:
    author.post(url("rebase-version", overtaken(people)))
    draft = PolicyVersion.objects.get(state="draft")
    answer = author.post(url("submit-version", draft), {"summary": "Mine"})
    assert answer.status_code == 422
    assert "Settle the conflicts" in answer.content.decode()


def test_others_see_why_but_cannot_rebase(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    mine = overtaken(people)
    page = signed_in("petra").get(mine.get_absolute_url()).content.decode()
    assert "cannot be activated as it is" in page and "Rebase onto" not in page
    assert signed_in("petra").post(url("rebase-version", mine)).status_code == 403
    assert signed_in("rui").post(url("rebase-version", mine)).status_code == 403


def test_a_rebase_that_is_not_needed_gets_409(
    active_version: PolicyVersion, people: People, author: Client
) -> None:
    answer = author.post(url("rebase-version", begin(people, changed())))
    assert answer.status_code == 409


# schedule


def test_an_operator_schedules_and_cancels_by_forms(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    version = approved(people, changed())
    client = signed_in("olivia")
    at = (timezone.now() + timedelta(hours=2)).replace(second=0, microsecond=0)
    given = {"at": f"{at:%Y-%m-%dT%H:%M}", "reason": "Quiet hours"}
    assert client.post(url("schedule-version", version), given).status_code == 303
    version.refresh_from_db()
    assert (version.state, version.scheduled_for) == ("scheduled", at)
    page = client.get(version.get_absolute_url()).content.decode()
    assert "Quiet hours" in page and "Cancel the schedule" in page
    assert client.post(url("cancel-schedule", version), {"reason": ""}).status_code == 422
    assert client.post(url("cancel-schedule", version), {"reason": "Later"}).status_code == 303
    version.refresh_from_db()
    assert version.state == "approved"


@pytest.mark.parametrize(
    "given",
    [
        {"at": "", "reason": "Why"},
        {"at": "2020-01-01T00:00", "reason": "Why"},
        {"at": "tomorrow", "reason": "Why"},
        {"at": "2999-01-01T00:00", "reason": "Why"},
    ],
)
def test_a_time_that_cannot_be_is_a_form_error(
    active_version: PolicyVersion, people: People, signed_in: Any, given: dict[str, str]
) -> None:
    version = approved(people, changed())
    answer = signed_in("olivia").post(url("schedule-version", version), given)
    assert answer.status_code == 422
    version.refresh_from_db()
    assert version.state == "approved"


def test_an_author_cannot_schedule(
    active_version: PolicyVersion, people: People, author: Client
) -> None:
    version = approved(people, changed())
    assert author.post(url("schedule-version", version), {}).status_code == 403
    assert author.post(url("cancel-schedule", version), {}).status_code == 403


def test_a_suspended_schedule_says_why_on_the_page(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    version = approved(people, changed())
    at = timezone.now() + timedelta(hours=1)
    schedule.schedule_version(version=version, at=at, by=people["olivia"], reason="Quiet")
    people["olivia"].is_active = False
    people["olivia"].save()
    schedule.activate_due(at)
    page = signed_in("petra").get(version.get_absolute_url()).content.decode()
    assert "The scheduled activation was suspended" in page and "was deactivated" in page


# replicas


def test_replicas_are_shown_as_they_acknowledge(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    now = timezone.now()
    revision = SnapshotRevision.objects.get().revision
    for name, behind in (("one", 0), ("two", 1)):
        Replica.objects.create(
            name=name, revision=revision - behind, digest="sha256:a", started_at=now, seen_at=now
        )
    client = signed_in("ada")
    part = client.get(url("version-replicas", active_version), **HTMX).content.decode()
    assert "<html" not in part and "every 3s" in part
    assert part.count("acknowledged") == 1 and part.count("behind") == 1
    assert "<html" in client.get(url("version-replicas", active_version)).content.decode()


def test_a_paused_page_stops_asking(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    client = signed_in("ada")
    client.cookies["live"] = "paused"
    assert client.get(url("version-replicas", active_version), **HTMX).status_code == 286
