"""How many people must approve, and why: by what a version changes in meaning and in cost."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from audit.models import Event
from routing.engine.meaning import Meaning
from routing.models import Backend, PolicyApproval, PolicyVersion, Route
from routing.services import meaning, policies, registry
from screens.errors import Conflict
from tests.routing.conftest import backend_fields, policy_document

People = dict[str, Any]
GUARD = {
    "id": "restricted-inside",
    "name": "Restricted inside",
    "when": {"all": [{"data_class": {"in": ["restricted"]}}]},
    "then": {"route": {"tier": "llm", "targets": ["large"]}, "on_no_target": "hold"},
}


def guarded(**changed: Any) -> dict[str, Any]:
    document = policy_document(**changed)
    return {**document, "rules": [copy.deepcopy(GUARD), *document["rules"]]}


@pytest.fixture
def base(active_version: PolicyVersion, people: People) -> PolicyVersion:
    """An active version whose first rule keeps restricted data apart."""
    version = submit(people, guarded())
    for who in ("petra", "pavel"):
        policies.judge_version(version=version, by=people[who], verdict="approve", comment="Ok.")
    return policies.activate_version(version=version, by=people["olivia"], reason="Go")


def submit(people: People, document: dict[str, Any]) -> PolicyVersion:
    version = policies.start_draft(slug="support", by=people["arjun"], document=document)
    return policies.submit_version(version=version, by=people["arjun"], summary="A change")


def codes(version: PolicyVersion) -> list[str]:
    return [reason["code"] for reason in version.approval_reasons]


def approve(version: PolicyVersion, by: User) -> PolicyVersion:
    return policies.judge_version(version=version, by=by, verdict="approve", comment="Read.")


@pytest.fixture
def outside(people: People) -> Backend:
    made = registry.register_backend(
        by=people["olivia"],
        name="outside",
        reason="test",
        **backend_fields(tier="llm", boundary="public", data_classes=["public"]),
    )
    return registry.set_backend_state(
        backend=made, state="active", by=people["olivia"], reason="test"
    )


def test_a_change_that_leaves_restricted_data_alone_needs_one(
    base: PolicyVersion, people: People
) -> None:
    document = guarded()
    document["rules"][1]["when"]["all"][0]["prompt_tokens"]["lte"] = 300
    version = submit(people, document)
    assert (version.approvals_needed, version.approval_reasons) == (1, [])
    assert approve(version, people["petra"]).state == "approved"


def test_a_change_in_words_only_needs_one(base: PolicyVersion, people: People) -> None:
    assert submit(people, guarded(owner="somebody-else")).approvals_needed == 1


def test_a_change_to_restricted_data_needs_two_different_people(
    base: PolicyVersion, people: People
) -> None:
    version = submit(people, policy_document())
    assert version.approvals_needed == 2
    assert codes(version) == ["restricted", "hold"]
    assert "restricted data" in version.approval_reasons[0]["words"]
    assert approve(version, people["petra"]).state == "in_review"
    with pytest.raises(Conflict):
        approve(version, people["petra"])
    assert approve(version, people["pavel"]).state == "approved"


def test_what_another_tab_saved_meanwhile_is_what_is_judged(
    base: PolicyVersion, people: People
) -> None:
    stale = policies.start_draft(slug="support", by=people["arjun"], document=guarded())
    policies.edit_draft(
        version=policies.get_version(slug="support", number=stale.number),
        document=policy_document(),
        revision=stale.revision,
        by=people["arjun"],
    )
    version = policies.submit_version(version=stale, by=people["arjun"], summary="Nothing much")
    assert version.document == policy_document()
    assert version.approvals_needed == 2


def test_the_reasons_are_in_the_trail(base: PolicyVersion, people: People) -> None:
    version = submit(people, policy_document())
    event = Event.objects.get(kind="policy.submitted", object_id=str(version))
    details = event.entry["details"]
    assert details["approvals_needed"] == 2
    assert [reason["code"] for reason in details["because"]] == codes(version)


def test_a_public_backend_loosens_a_boundary(
    base: PolicyVersion, people: People, outside: Backend
) -> None:
    document = guarded()
    document["rules"].append(
        {
            "id": "public-outside",
            "when": {"all": [{"data_class": {"in": ["public"]}}]},
            "then": {"route": {"tier": "llm", "targets": ["outside"]}},
        }
    )
    Route.objects.filter(slug="support").update(data_class="public")
    version = policies.start_draft(slug="support", by=people["arjun"], document=document)
    found = meaning.meaning_of(version)
    assert isinstance(found, Meaning)
    reasons = meaning.reasons_from(found, None)
    assert [reason.code for reason in reasons] == ["boundary"]
    assert reasons[0].words.startswith("it loosens a boundary (public data may now reach")


def test_a_first_version_needs_two_only_where_it_opens_the_way_out(
    route: Any, people: People, outside: Backend
) -> None:
    version = policies.start_draft(
        slug="support",
        by=people["arjun"],
        document=policy_document(default={"then": {"route": {"targets": ["outside"]}}}),
    )
    assert [one.code for one in meaning.reasons_of(version)] == ["boundary"]
    version.document = policy_document()
    assert meaning.reasons_of(version) == []


def traffic(**changed: Any) -> meaning.Traffic:
    from django.utils import timezone

    values = {"decided": 100, "cost_before": Decimal("1"), "cost_after": Decimal("1.21")}
    return meaning.Traffic(since=timezone.now(), **{**values, **changed})


@pytest.mark.parametrize(
    ("changed", "raises"),
    [
        ({}, True),
        ({"cost_after": Decimal("1.20")}, False),
        ({"decided": 10}, False),
        ({"cost_before": Decimal(0), "cost_after": Decimal(0)}, False),
        ({"cost_before": Decimal(0)}, True),
    ],
)
def test_more_than_a_fifth_of_projected_cost_needs_two(
    changed: dict[str, Any], raises: bool
) -> None:
    reasons = meaning.reasons_from(Meaning(changes=()), traffic(**changed))
    assert [one.code for one in reasons] == (["cost"] if raises else [])


def test_what_cannot_be_compared_to_the_end_needs_two() -> None:
    reasons = meaning.reasons_from(Meaning(changes=(), is_complete=False), None)
    assert [one.code for one in reasons] == ["not_comparable"]


# the database alone


def test_the_database_refuses_to_approve_with_one_of_two(
    base: PolicyVersion, people: People
) -> None:
    version = submit(people, policy_document())
    approve(version, people["petra"])
    with pytest.raises(IntegrityError, match="needs 2 approvals"), transaction.atomic():
        PolicyVersion.objects.filter(pk=version.pk).update(
            state="approved", approved_at=version.submitted_at
        )


def test_the_database_refuses_the_same_approver_twice(base: PolicyVersion, people: People) -> None:
    version = submit(people, policy_document())
    approve(version, people["petra"])
    with pytest.raises(IntegrityError), transaction.atomic():
        PolicyApproval.objects.create(
            version=version,
            by=people["petra"],
            verdict="approve",
            comment="again",
            digest=version.digest,
        )


@pytest.mark.parametrize("change", ["approvals_needed = 1", "approval_reasons = '[]'"])
def test_the_database_refuses_to_lower_what_a_submitted_version_needs(
    base: PolicyVersion, people: People, change: str
) -> None:
    version = submit(people, policy_document())
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE routing_policyversion SET {change} WHERE id = %s", [version.pk])


def test_the_database_refuses_a_verdict_on_another_digest_or_after_the_fact(
    base: PolicyVersion, people: People
) -> None:
    version = submit(people, policy_document())
    terms = {"by": people["petra"], "verdict": "approve", "comment": "raw"}
    with pytest.raises(IntegrityError), transaction.atomic():
        PolicyApproval.objects.create(version=version, digest="sha256:other", **terms)
    policies.withdraw_version(version=version, by=people["arjun"], reason="Oops")
    with pytest.raises(IntegrityError), transaction.atomic():
        PolicyApproval.objects.create(version=version, digest=version.digest, **terms)


def test_the_database_refuses_to_take_a_verdict_back(base: PolicyVersion, people: People) -> None:
    version = submit(people, policy_document())
    approve(version, people["petra"])
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM routing_policyapproval WHERE version_id = %s", [version.pk])
