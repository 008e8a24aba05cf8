"""A scheduled activation happens when it is due, once, or is suspended with the reason."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from audit.models import Event
from routing.models import Backend, PolicyVersion
from routing.services import policies, schedule
from routing.tasks import activate_due
from screens.errors import Invalid, NotAllowed
from tests.routing.conftest import policy_document

People = dict[str, Any]
HOUR = timedelta(hours=1)


@pytest.fixture
def approved(active_version: PolicyVersion, people: People) -> PolicyVersion:
    return successor(people, 300)


def successor(people: People, threshold: int) -> PolicyVersion:
    document = copy.deepcopy(policy_document())
    document["rules"][0]["when"]["all"][0]["prompt_tokens"]["lte"] = threshold
    version = policies.start_draft(slug="support", by=people["arjun"], document=document)
    policies.submit_version(version=version, by=people["arjun"], summary="Another threshold")
    for who in ("pavel", "petra"):
        policies.judge_version(version=version, by=people[who], verdict="approve", comment="Ok.")
    version.refresh_from_db()
    return version


@pytest.fixture
def scheduled(approved: PolicyVersion, people: People) -> PolicyVersion:
    at = timezone.now() + HOUR
    return schedule.schedule_version(
        version=approved, at=at, by=people["olivia"], reason="Quiet hours"
    )


def when_due(version: PolicyVersion) -> Any:
    assert version.scheduled_for is not None
    return version.scheduled_for + timedelta(seconds=1)


def test_nothing_happens_before_the_time(scheduled: PolicyVersion) -> None:
    assert activate_due() == 0
    scheduled.refresh_from_db()
    assert scheduled.state == "scheduled"


def test_a_due_version_becomes_active_once(scheduled: PolicyVersion, people: People) -> None:
    due = when_due(scheduled)
    assert [schedule.activate_due(due), schedule.activate_due(due)] == [1, 0]
    scheduled.refresh_from_db()
    assert (scheduled.state, scheduled.scheduled_for) == ("active", None)
    assert scheduled.activated_by == people["olivia"]
    event = Event.objects.get(kind="policy.activated", object_id=str(scheduled))
    assert (event.actor, event.reason) == ("schedule", "Quiet hours")
    assert event.entry["details"]["scheduled_by"] == "olivia"


def suspended(version: PolicyVersion) -> str:
    """The reason, after checking that it went back to approved and was recorded."""
    version.refresh_from_db()
    assert (version.state, version.scheduled_for) == ("approved", None)
    assert version.suspended_at is not None
    event = Event.objects.get(kind="policy.schedule_suspended", object_id=str(version))
    assert event.reason == version.suspended_why
    return version.suspended_why


def test_another_activation_suspends_it_at_once(approved: PolicyVersion, people: People) -> None:
    faster = successor(people, 400)
    schedule.schedule_version(
        version=approved, at=timezone.now() + HOUR, by=people["olivia"], reason="Quiet hours"
    )
    policies.activate_version(version=faster, by=people["petra"], reason="Urgent")
    assert suspended(approved) == f"{faster} became active first."


def test_a_roll_back_suspends_it_too(
    active_version: PolicyVersion, approved: PolicyVersion, people: People
) -> None:
    policies.activate_version(version=approved, by=people["petra"], reason="Go")
    later = successor(people, 500)
    schedule.schedule_version(
        version=later, at=timezone.now() + HOUR, by=people["olivia"], reason="Quiet hours"
    )
    policies.roll_back(slug="support", to_number=1, by=people["olivia"], reason="Errors")
    assert "became active first" in suspended(later)


def test_a_finding_that_blocks_now_suspends_it(scheduled: PolicyVersion) -> None:
    Backend.objects.filter(name="small").update(state="disabled")
    assert schedule.activate_due(when_due(scheduled)) == 0
    assert "small is disabled" in suspended(scheduled)


def test_a_scheduler_who_was_deactivated_suspends_it(
    scheduled: PolicyVersion, people: People
) -> None:
    people["olivia"].is_active = False
    people["olivia"].save()
    assert schedule.activate_due(when_due(scheduled)) == 0
    assert "was deactivated" in suspended(scheduled)


def test_a_scheduler_who_lost_the_role_suspends_it(
    scheduled: PolicyVersion, people: People
) -> None:
    people["olivia"].groups.clear()
    assert schedule.activate_due(when_due(scheduled)) == 0
    assert "may no longer activate" in suspended(scheduled)


def test_a_suspended_version_can_be_scheduled_again(
    scheduled: PolicyVersion, people: People
) -> None:
    Backend.objects.filter(name="small").update(state="disabled")
    schedule.activate_due(when_due(scheduled))
    Backend.objects.filter(name="small").update(state="active")
    scheduled.refresh_from_db()
    schedule.schedule_version(
        version=scheduled, at=timezone.now() + HOUR, by=people["petra"], reason="Once more"
    )
    assert (scheduled.state, scheduled.suspended_at) == ("scheduled", None)


def test_a_cancelled_schedule_leaves_it_approved(scheduled: PolicyVersion, people: People) -> None:
    due = when_due(scheduled)
    with pytest.raises(Invalid):
        schedule.cancel_schedule(version=scheduled, by=people["olivia"], reason=" ")
    schedule.cancel_schedule(version=scheduled, by=people["olivia"], reason="Not this week")
    assert schedule.activate_due(due) == 0
    assert scheduled.state == "approved"
    assert Event.objects.get(kind="policy.schedule_cancelled").reason == "Not this week"


def test_its_author_may_still_withdraw_it(scheduled: PolicyVersion, people: People) -> None:
    policies.withdraw_version(version=scheduled, by=people["arjun"], reason="A mistake")
    assert (scheduled.state, scheduled.scheduled_for) == ("withdrawn", None)


@pytest.mark.parametrize("away", [-HOUR, timedelta(days=91)])
def test_the_time_is_to_come_and_not_too_far(
    approved: PolicyVersion, people: People, away: timedelta
) -> None:
    with pytest.raises(Invalid):
        schedule.schedule_version(
            version=approved, at=timezone.now() + away, by=people["olivia"], reason="Why"
        )


@pytest.mark.parametrize("who", ["arjun", "rui", "ada", "nobody"])
def test_only_those_who_activate_may_schedule(
    approved: PolicyVersion, people: People, who: str
) -> None:
    with pytest.raises(NotAllowed):
        schedule.schedule_version(
            version=approved, at=timezone.now() + HOUR, by=people[who], reason="Why"
        )


def test_an_overtaken_version_cannot_be_scheduled(approved: PolicyVersion, people: People) -> None:
    policies.activate_version(version=successor(people, 400), by=people["petra"], reason="Go")
    with pytest.raises(policies.MustRebase):
        schedule.schedule_version(
            version=approved, at=timezone.now() + HOUR, by=people["olivia"], reason="Why"
        )


# the database alone


def raw(version: PolicyVersion, change: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE routing_policyversion SET {change} WHERE id = %s", [version.pk])


@pytest.mark.parametrize(
    "change",
    [
        "scheduled_for = now()",
        "scheduled_for = NULL",
        "scheduled_by_id = author_id",
        "approved_at = now()",
        "state = 'in_review'",
        "state = 'retired', retired_at = now(), scheduled_for = NULL",
        "state = 'approved'",
        "state = 'rejected', scheduled_for = NULL",
    ],
)
def test_the_database_moves_a_schedule_only_with_its_state(
    scheduled: PolicyVersion, change: str
) -> None:
    with pytest.raises(IntegrityError):
        raw(scheduled, change)


@pytest.mark.parametrize("state", ["rejected", "withdrawn"])
def test_the_database_lets_nothing_come_back_that_ended_early(
    active_version: PolicyVersion, people: People, state: str
) -> None:
    document = policy_document(owner="somebody-else")
    version = policies.start_draft(slug="support", by=people["arjun"], document=document)
    policies.submit_version(version=version, by=people["arjun"], summary="Second")
    PolicyVersion.objects.filter(pk=version.pk).update(state=state)
    for target in ("draft", "in_review", "approved", "active", "withdrawn", "rejected"):
        if target != state:
            with pytest.raises(IntegrityError):
                raw(version, f"state = '{target}', approved_at = now(), activated_at = NULL")


@pytest.mark.parametrize(
    "change",
    [
        "state = 'retired'",
        "state = 'retired', retired_at = now(), activated_at = NULL",
        "state = 'withdrawn'",
        "state = 'approved'",
        "activated_at = now()",
    ],
)
def test_the_database_ends_an_active_version_only_as_retired_or_rolled_back(
    active_version: PolicyVersion, change: str
) -> None:
    with pytest.raises(IntegrityError):
        raw(active_version, change)
