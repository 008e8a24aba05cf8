"""What the overview asks of people: versions that are stuck, and jobs that failed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import JobState, Report
from routing.models import Backtest, PolicyVersion
from routing.queries import attention
from routing.services import policies, schedule
from screens.attention import Need
from tests.routing.conftest import policy_document

People = dict[str, Any]


def sentences(needs: list[Need]) -> list[str]:
    return [need.sentence for need in needs]


def approved(people: People, who: str = "arjun") -> PolicyVersion:
    document = policy_document(owner=f"{who}-owner")
    version = policies.start_draft(slug="support", by=people[who], document=document)
    policies.submit_version(version=version, by=people[who], summary="Second")
    return policies.judge_version(
        version=version, by=people["petra"], verdict="approve", comment="Good."
    )


def failed_backtest(version: PolicyVersion, by: Any, **more: Any) -> Backtest:
    now = timezone.now()
    fields = {
        "state": "failed",
        "problem": "Its worker was lost. Start it again.",
        "finished_at": now,
        "since": now - timedelta(days=1),
        "until": now,
        "digest": version.digest,
        "registry_digest": "x",
        "requested_by": str(by),
        "by": by,
    }
    return Backtest.objects.create(version=version, **{**fields, **more})


def test_a_suspended_schedule_waits_for_a_person_until_it_is_scheduled_again(
    active_version: PolicyVersion, people: People
) -> None:
    version = approved(people)
    due = timezone.now() + timedelta(hours=1)
    schedule.schedule_version(version=version, at=due, by=people["olivia"], reason="Window")
    people["olivia"].is_active = False
    people["olivia"].save()
    schedule.activate_due(now=due + timedelta(minutes=1))
    (need,) = attention.suspended_schedules(people["petra"])
    assert need.url == version.get_absolute_url()
    assert "was suspended" in need.sentence
    assert "deactivated" in need.sentence


def test_an_overtaken_draft_is_shown_to_its_author_and_not_to_others(
    active_version: PolicyVersion, people: People
) -> None:
    version = approved(people)
    mine = policies.start_draft(slug="support", by=people["arjun"])
    assert attention.overtaken_versions(people["arjun"]) == []
    policies.activate_version(version=version, by=people["olivia"], reason="Go")
    (need,) = attention.overtaken_versions(people["arjun"])
    assert need.url == mine.get_absolute_url()
    assert f"version {version.number} has become active since you began it" in need.sentence
    assert attention.overtaken_versions(people["petra"]) == []


def test_a_failed_backtest_is_shown_to_who_asked_and_to_operators_for_a_day(
    active_version: PolicyVersion, people: People
) -> None:
    job = failed_backtest(active_version, people["arjun"])
    for who in ("arjun", "olivia"):
        (need,) = attention.failed_jobs(people[who])
        assert need.url == job.get_absolute_url()
        assert need.sentence == (
            f"A backtest of {active_version} failed. Its worker was lost. Start it again."
        )
    assert attention.failed_jobs(people["petra"]) == []
    Backtest.objects.filter(pk=job.pk).update(finished_at=timezone.now() - timedelta(hours=25))
    assert attention.failed_jobs(people["arjun"]) == []


def test_a_failed_backtest_that_was_repeated_well_asks_nobody(
    active_version: PolicyVersion, people: People
) -> None:
    failed_backtest(active_version, people["arjun"])
    failed_backtest(active_version, people["arjun"], state="done", problem="")
    assert attention.failed_jobs(people["arjun"]) == []


@pytest.mark.django_db
def test_a_failed_report_is_shown_to_who_reads_the_trail(people: People) -> None:
    now = timezone.now()
    report = Report.objects.create(
        period_from=now - timedelta(days=30),
        period_to=now,
        state=JobState.FAILED,
        ended_at=now,
        problem="Its worker was lost. Ask for it again.",
        requested_by="Ada",
    )
    mine = attention.failed_reports(people["ada"])
    assert report.get_absolute_url() in [need.url for need in mine]
    assert "Ask for it again" in " ".join(sentences(mine))
