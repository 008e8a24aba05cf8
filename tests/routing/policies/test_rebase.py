"""A rebase carries the author's changes over, and lists what both sides touched."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from audit.models import Event
from routing.models import PolicyVersion
from routing.services import policies, rebase
from screens.errors import Conflict, Invalid, NotAllowed
from tests.routing.conftest import policy_document

People = dict[str, Any]


def rule(rule_id: str, turns: int) -> dict[str, Any]:
    return {
        "id": rule_id,
        "when": {"all": [{"turns": {"gte": turns}}]},
        "then": {"route": {"tier": "llm", "targets": ["large"]}},
    }


def changed(threshold: int = 200, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    document = copy.deepcopy(policy_document(**more))
    document["rules"][0]["when"]["all"][0]["prompt_tokens"]["lte"] = threshold
    document["rules"] = [*rules, *document["rules"]]
    return document


@pytest.fixture
def second_author(people: People) -> Any:
    people["rui"].groups.add(*people["arjun"].groups.all())
    return people["rui"]


def overtake(people: People, by: Any, document: dict[str, Any]) -> PolicyVersion:
    version = policies.start_draft(slug="support", by=by, document=document)
    policies.submit_version(version=version, by=by, summary="Faster")
    for who in ("petra", "pavel"):
        if version.state != "approved":
            version = policies.judge_version(
                version=version, by=people[who], verdict="approve", comment="Ok."
            )
    return policies.activate_version(version=version, by=people["olivia"], reason="Go")


def begin(people: People, document: dict[str, Any]) -> PolicyVersion:
    return policies.start_draft(slug="support", by=people["arjun"], document=document)


def test_changes_to_other_rules_are_carried_over(
    active_version: PolicyVersion, people: People, second_author: Any
) -> None:
    mine = begin(people, changed(200, rule("mine", 9)))
    theirs = overtake(people, second_author, changed(300, owner="another-team"))
    draft = rebase.rebase_version(version=mine, by=people["arjun"])
    mine.refresh_from_db()
    assert (mine.state, draft.state, draft.base) == ("withdrawn", "draft", theirs)
    assert (draft.rebased_from, draft.conflicts) == (mine, [])
    assert draft.document == changed(300, rule("mine", 9), owner="another-team")
    kinds = Event.objects.filter(object_id__in=[str(mine), str(draft)]).order_by("id")
    assert list(kinds.values_list("kind", flat=True))[-2:] == ["policy.withdrawn", "policy.rebased"]


def test_a_submitted_version_is_rebased_too_and_its_approvals_do_not_come_along(
    active_version: PolicyVersion, people: People, second_author: Any
) -> None:
    mine = begin(people, changed(200, owner="mine"))
    policies.submit_version(version=mine, by=people["arjun"], summary="Owner")
    policies.judge_version(version=mine, by=people["petra"], verdict="approve", comment="Ok.")
    overtake(people, second_author, changed(300))
    draft = rebase.rebase_version(version=mine, by=people["arjun"])
    assert (draft.document["owner"], draft.approvals.count()) == ("mine", 0)
    assert draft.summary == "Owner"


def both_changed(people: People, second_author: Any) -> PolicyVersion:
    mine = begin(people, changed(250))
    overtake(people, second_author, changed(300))
    return rebase.rebase_version(version=mine, by=people["arjun"])


def test_a_rule_that_both_changed_is_a_conflict_that_keeps_it_from_being_submitted(
    active_version: PolicyVersion, people: People, second_author: Any
) -> None:
    draft = both_changed(people, second_author)
    assert [one["subject"] for one in draft.conflicts] == ["narrow-work"]
    assert draft.document == changed(300)
    with pytest.raises(Invalid, match="conflicts"):
        policies.submit_version(version=draft, by=people["arjun"], summary="Mine")
    with pytest.raises(IntegrityError), transaction.atomic():
        PolicyVersion.objects.filter(pk=draft.pk).update(
            state="in_review", submitted_at=draft.created_at
        )


@pytest.mark.parametrize(("keep", "threshold"), [("mine", 250), ("theirs", 300)])
def test_the_author_settles_a_conflict_either_way(
    active_version: PolicyVersion,
    people: People,
    second_author: Any,
    keep: str,
    threshold: int,
) -> None:
    draft = both_changed(people, second_author)
    rebase.settle_conflict(
        version=draft, place=0, keep=keep, revision=draft.revision, by=people["arjun"]
    )
    assert (draft.conflicts, draft.document) == ([], changed(threshold))
    event = Event.objects.get(kind="policy.conflict_settled")
    assert event.entry["details"]["keep"] == keep


def test_a_conflict_is_settled_on_the_draft_that_was_seen(
    active_version: PolicyVersion, people: People, second_author: Any
) -> None:
    draft = both_changed(people, second_author)
    with pytest.raises(Conflict):
        rebase.settle_conflict(version=draft, place=0, keep="mine", revision=7, by=people["arjun"])


def test_nobody_else_rebases_or_settles(
    active_version: PolicyVersion, people: People, second_author: Any
) -> None:
    mine = begin(people, changed(250))
    overtake(people, second_author, changed(300))
    with pytest.raises(NotAllowed):
        rebase.rebase_version(version=mine, by=second_author)
    draft = rebase.rebase_version(version=mine, by=people["arjun"])
    with pytest.raises(NotAllowed):
        rebase.settle_conflict(
            version=draft, place=0, keep="mine", revision=draft.revision, by=second_author
        )


def test_there_is_nothing_to_rebase_while_the_base_is_active(
    active_version: PolicyVersion, people: People
) -> None:
    with pytest.raises(policies.WrongState):
        rebase.rebase_version(version=begin(people, changed(250)), by=people["arjun"])


def test_another_open_draft_of_the_author_comes_first(
    active_version: PolicyVersion, people: People, second_author: Any
) -> None:
    mine = begin(people, changed(200, owner="mine"))
    policies.submit_version(version=mine, by=people["arjun"], summary="Owner")
    overtake(people, second_author, changed(300))
    begin(people, changed(400))
    with pytest.raises(Conflict, match="another draft"):
        rebase.rebase_version(version=mine, by=people["arjun"])
    mine.refresh_from_db()
    assert mine.state == "in_review"
