"""Four eyes, frozen versions, one active: held by the services, and by the database alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from audit.models import Event
from routing.models import PolicyApproval, PolicyVersion, Route, SnapshotRevision
from routing.services import policies
from screens.errors import Conflict, Invalid, NotAllowed
from tests.routing.conftest import policy_document

People = dict[str, Any]


@pytest.fixture
def draft(route: Route, people: People) -> PolicyVersion:
    return policies.start_draft(slug=route.slug, by=people["arjun"], document=policy_document())


@pytest.fixture
def submitted(draft: PolicyVersion, people: People) -> PolicyVersion:
    return policies.submit_version(version=draft, by=people["arjun"], summary="First policy")


@pytest.fixture
def approved(submitted: PolicyVersion, people: People) -> PolicyVersion:
    return policies.judge_version(
        version=submitted, by=people["petra"], verdict="approve", comment="Read and tested."
    )


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser(username="root", password="x")


def successor(people: People, route: Route, by: str = "arjun") -> PolicyVersion:
    """A second version with another threshold, submitted and approved."""
    document = copy.deepcopy(policy_document())
    document["rules"][0]["when"]["all"][0]["prompt_tokens"]["lte"] = 400
    version = policies.start_draft(slug=route.slug, by=people[by], document=document)
    policies.submit_version(version=version, by=people[by], summary="More to the small model")
    # No rule keeps restricted data apart here, so the change touches it and two people approve.
    policies.judge_version(version=version, by=people["pavel"], verdict="approve", comment="Fine.")
    return policies.judge_version(
        version=version, by=people["petra"], verdict="approve", comment="Fine."
    )


def kinds_of(version: PolicyVersion) -> list[str]:
    events = Event.objects.filter(object_type="policy_version", object_id=str(version))
    return list(events.order_by("id").values_list("kind", flat=True))


# four eyes


def test_author_cannot_approve_own_version_though_their_role_could(
    submitted: PolicyVersion, people: People
) -> None:
    from django.contrib.auth.models import Group

    people["arjun"].groups.add(Group.objects.get(name="approver"))
    author = User.objects.get(pk=people["arjun"].pk)
    with pytest.raises(policies.OwnVersion):
        policies.judge_version(version=submitted, by=author, verdict="approve", comment="Mine.")
    submitted.refresh_from_db()
    assert submitted.state == "in_review"
    denied = Event.objects.get(kind="access.denied", object_id=str(submitted))
    assert (denied.actor, denied.result) == ("arjun", "denied")


def test_a_superuser_cannot_approve_own_version(route: Route, root: User) -> None:
    version = policies.start_draft(slug=route.slug, by=root, document=policy_document())
    policies.submit_version(version=version, by=root, summary="Mine")
    with pytest.raises(policies.OwnVersion):
        policies.judge_version(version=version, by=root, verdict="approve", comment="Mine.")


def store_approval(version: PolicyVersion, by: User) -> None:
    """As somebody with the runtime role's password would, past every service."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO routing_policyapproval (version_id, by_id, verdict, comment, digest, at)"
            " VALUES (%s, %s, 'approve', 'raw', %s, now())",
            [version.pk, by.pk, version.digest],
        )


def test_the_database_refuses_the_authors_approval_without_any_service(
    submitted: PolicyVersion, people: People
) -> None:
    with pytest.raises(IntegrityError, match="may not approve"):
        store_approval(submitted, people["arjun"])


def test_the_database_refuses_the_superusers_approval_of_an_own_version(
    route: Route, root: User
) -> None:
    version = policies.start_draft(slug=route.slug, by=root, document=policy_document())
    policies.submit_version(version=version, by=root, summary="Mine")
    with pytest.raises(IntegrityError, match="may not approve"):
        store_approval(version, root)


def test_an_approval_cannot_be_rewritten_into_the_authors(
    approved: PolicyVersion, people: People
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        PolicyApproval.objects.filter(version=approved).update(by=people["arjun"])


def test_an_author_cannot_judge_without_the_role(submitted: PolicyVersion, people: People) -> None:
    with pytest.raises(NotAllowed):
        policies.judge_version(
            version=submitted, by=people["arjun"], verdict="approve", comment="Mine."
        )


def test_nobody_judges_the_same_version_twice(draft: PolicyVersion, people: People) -> None:
    PolicyVersion.objects.filter(pk=draft.pk).update(approvals_needed=2)
    submitted = policies.submit_version(version=draft, by=people["arjun"], summary="Two of us.")
    policies.judge_version(version=submitted, by=people["petra"], verdict="approve", comment="One.")
    with pytest.raises(Conflict):
        policies.judge_version(
            version=submitted, by=people["petra"], verdict="approve", comment="Two."
        )
    submitted.refresh_from_db()
    assert submitted.state == "in_review"


def test_a_verdict_needs_a_reason(submitted: PolicyVersion, people: People) -> None:
    with pytest.raises(Invalid):
        policies.judge_version(
            version=submitted, by=people["petra"], verdict="approve", comment=" "
        )
    assert not PolicyApproval.objects.exists()


# immutable


@pytest.mark.parametrize(
    "change",
    ["document = '{}'", "digest = 'sha256:0'", "number = 77", "state = 'draft'"],
)
def test_the_database_refuses_to_change_a_submitted_version(
    submitted: PolicyVersion, change: str
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE routing_policyversion SET {change} WHERE id = %s", [submitted.pk])


def test_the_database_refuses_to_delete_a_version(draft: PolicyVersion) -> None:
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM routing_policyversion WHERE id = %s", [draft.pk])


def test_a_submitted_version_cannot_be_edited(submitted: PolicyVersion, people: People) -> None:
    with pytest.raises(Conflict):
        policies.edit_draft(
            version=submitted,
            document=policy_document(),
            revision=submitted.revision,
            by=people["arjun"],
        )


def test_only_its_author_edits_a_draft(draft: PolicyVersion, people: People, root: User) -> None:
    with pytest.raises(NotAllowed):
        policies.edit_draft(
            version=draft, document=policy_document(), revision=draft.revision, by=root
        )


def test_the_second_of_two_edits_from_the_same_revision_is_refused(
    draft: PolicyVersion, people: People
) -> None:
    seen = draft.revision
    first = policy_document(owner="first")
    policies.edit_draft(version=draft, document=first, revision=seen, by=people["arjun"])
    with pytest.raises(Conflict):
        policies.edit_draft(
            version=draft, document=policy_document(), revision=seen, by=people["arjun"]
        )
    draft.refresh_from_db()
    assert draft.document["owner"] == "first"


def test_a_person_has_one_draft_per_route(draft: PolicyVersion, people: People) -> None:
    again = policies.start_draft(slug=draft.route.slug, by=people["arjun"])
    assert again.pk == draft.pk


def test_submitting_needs_a_sentence(draft: PolicyVersion, people: People) -> None:
    with pytest.raises(Invalid):
        policies.submit_version(version=draft, by=people["arjun"], summary=" ")


def test_an_unreadable_document_cannot_be_submitted(draft: PolicyVersion, people: People) -> None:
    document = {**policy_document(), "rules": [{"id": "x"}]}
    policies.edit_draft(
        version=draft, document=document, revision=draft.revision, by=people["arjun"]
    )
    with pytest.raises(policies.NotAPolicy) as refused:
        policies.submit_version(version=draft, by=people["arjun"], summary="Broken")
    assert refused.value.findings[0].path.startswith("rules[0]")


# active


def test_an_unapproved_version_cannot_be_activated(
    submitted: PolicyVersion, people: People
) -> None:
    with pytest.raises(policies.WrongState):
        policies.activate_version(version=submitted, by=people["petra"], reason="Now")


def test_activation_raises_the_revision_that_replicas_follow(
    approved: PolicyVersion, people: People
) -> None:
    before = SnapshotRevision.objects.get().revision
    policies.activate_version(version=approved, by=people["olivia"], reason="Agreed")
    assert SnapshotRevision.objects.get().revision > before
    event = Event.objects.get(kind="policy.activated", object_id=str(approved))
    assert (event.actor, event.reason) == ("olivia", "Agreed")


def test_activation_retires_the_version_before_it(
    active_version: PolicyVersion, route: Route, people: People
) -> None:
    version = successor(people, route)
    policies.activate_version(version=version, by=people["petra"], reason="Agreed")
    active_version.refresh_from_db()
    assert active_version.state == "retired"
    assert policies.active_version(route) == version


def test_the_database_refuses_a_second_active_version(
    active_version: PolicyVersion, route: Route, people: People
) -> None:
    version = successor(people, route)
    with pytest.raises(IntegrityError), transaction.atomic():
        PolicyVersion.objects.filter(pk=version.pk).update(state="active")


def test_a_version_that_began_before_the_active_one_must_rebase(
    active_version: PolicyVersion, route: Route, people: People, root: User
) -> None:
    late = successor(people, route)
    people["root"] = root
    quick = successor(people, route, by="root")
    policies.activate_version(version=quick, by=people["petra"], reason="Agreed")
    with pytest.raises(policies.MustRebase):
        policies.activate_version(version=late, by=people["petra"], reason="Agreed")
    assert policies.active_version(route) == quick


def test_rolling_back_needs_a_reason_and_no_approval(
    active_version: PolicyVersion, route: Route, people: People
) -> None:
    version = successor(people, route)
    policies.activate_version(version=version, by=people["petra"], reason="Agreed")
    with pytest.raises(Invalid):
        policies.roll_back(slug=route.slug, to_number=1, by=people["olivia"], reason="")
    policies.roll_back(slug=route.slug, to_number=1, by=people["olivia"], reason="Too many errors")
    version.refresh_from_db()
    assert version.state == "rolled_back"
    assert policies.active_version(route) == active_version
    event = Event.objects.get(kind="policy.rolled_back")
    assert (event.actor, event.reason) == ("olivia", "Too many errors")


def test_nobody_rolls_back_to_a_version_that_was_never_active(
    active_version: PolicyVersion, route: Route, people: People
) -> None:
    version = successor(people, route)
    with pytest.raises(policies.WrongState):
        policies.roll_back(
            slug=route.slug, to_number=version.number, by=people["olivia"], reason="Hm"
        )


def test_a_withdrawn_version_is_out_of_the_way(submitted: PolicyVersion, people: People) -> None:
    policies.withdraw_version(version=submitted, by=people["arjun"], reason="A mistake")
    with pytest.raises(policies.WrongState):
        policies.judge_version(
            version=submitted, by=people["petra"], verdict="approve", comment="Late."
        )


@pytest.mark.parametrize("verdict", ["reject", "request_changes"])
def test_a_refused_version_stays_with_its_reason(
    submitted: PolicyVersion, people: People, verdict: str
) -> None:
    policies.judge_version(version=submitted, by=people["petra"], verdict=verdict, comment="Why?")
    submitted.refresh_from_db()
    assert submitted.state == "rejected"
    event = Event.objects.get(kind="policy.rejected", object_id=str(submitted))
    assert event.reason == "Why?"


# the trail


def test_every_step_of_a_life_is_in_the_trail(
    approved: PolicyVersion, route: Route, people: People
) -> None:
    policies.activate_version(version=approved, by=people["petra"], reason="Agreed")
    version = successor(people, route)
    policies.activate_version(version=version, by=people["petra"], reason="Agreed")
    policies.roll_back(slug=route.slug, to_number=1, by=people["petra"], reason="Back")
    assert kinds_of(approved) == [
        "policy.drafted",
        "policy.submitted",
        "policy.approved",
        "policy.activated",
        "policy.rolled_back",
    ]


def test_an_edit_is_in_the_trail_with_both_digests(draft: PolicyVersion, people: People) -> None:
    before = draft.digest
    policies.edit_draft(
        version=draft,
        document=policy_document(owner="other"),
        revision=draft.revision,
        by=people["arjun"],
    )
    assert kinds_of(draft) == ["policy.drafted", "policy.edited"]
    event = Event.objects.get(kind="policy.edited")
    assert before in str(event.entry)
    assert draft.digest in str(event.entry)


@pytest.mark.parametrize("who", ["olivia", "rui", "ada", "sam", "nobody", "petra"])
def test_only_an_author_begins_a_draft(route: Route, people: People, who: str) -> None:
    with pytest.raises(NotAllowed):
        policies.start_draft(slug=route.slug, by=people[who], document=policy_document())


@pytest.mark.parametrize("who", ["arjun", "rui", "ada", "sam", "nobody"])
def test_only_operators_and_approvers_activate(
    approved: PolicyVersion, people: People, who: str
) -> None:
    with pytest.raises(NotAllowed):
        policies.activate_version(version=approved, by=people[who], reason="Now")
