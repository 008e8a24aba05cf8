"""A job whose worker died does not stay running for ever, and says what to do next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit import jobs, tasks, verification
from audit.models import Event, JobState, Report, Verification
from audit.reports import services
from tests.audit.conftest import ANA, Ledger

FROM = datetime(2026, 1, 1, tzinfo=UTC)


def running_report(seen: timedelta, **more: Any) -> Report:
    now = timezone.now()
    return Report.objects.create(
        period_from=FROM,
        period_to=now,
        requested_by="Ana",
        state=JobState.RUNNING,
        **{"started_at": now - seen, "seen_at": now - seen, **more},
    )


def recorded(kind: str, **found: Any) -> list[Event]:
    return list(Event.objects.filter(kind=kind, **found))


def test_a_report_whose_worker_died_fails_with_what_to_do_next(filled: Ledger) -> None:
    lost = jobs.LOST_AFTER + timedelta(seconds=1)
    report = running_report(lost, tries=services.MOST_TRIES)
    services.path_of(report).parent.mkdir(parents=True, exist_ok=True)
    services.path_of(report).write_bytes(b"half of it")
    assert tasks.fail_lost_jobs() == 1
    report.refresh_from_db()
    assert report.state == JobState.FAILED
    assert report.ended_at is not None
    assert report.problem.endswith("Ask for it again; the same period gives the same bytes.")
    (event,) = recorded("report.failed", object_id=str(report.pk))
    assert (event.result, event.reason) == ("failed", report.problem)
    assert not services.path_of(report).exists()
    assert tasks.fail_lost_jobs() == 0


def test_a_report_whose_worker_died_is_sent_again(
    filled: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(tasks.make_report, "delay", sent.append)
    report = running_report(jobs.LOST_AFTER + timedelta(seconds=1), tries=1)
    assert tasks.fail_lost_jobs() == 0
    report.refresh_from_db()
    assert (report.state, sent) == (JobState.WAITING, [str(report.pk)])


def test_a_report_that_gives_signs_of_life_goes_on(filled: Ledger) -> None:
    report = running_report(jobs.LOST_AFTER / 2, started_at=timezone.now() - timedelta(hours=3))
    assert services.fail_lost_reports() == 0
    report.refresh_from_db()
    assert report.state == JobState.RUNNING


def test_a_report_that_gives_signs_of_life_for_too_long_is_given_up(filled: Ledger) -> None:
    report = running_report(timedelta(0), started_at=timezone.now() - timedelta(hours=5))
    assert services.fail_lost_reports() == 1
    report.refresh_from_db()
    assert "shorter period" in report.problem


def test_a_report_that_no_worker_takes_says_where_to_look(filled: Ledger) -> None:
    report = services.request_report(period_from=FROM, period_to=timezone.now(), by=ANA)
    later = timezone.now() + jobs.MOST_WAITING + timedelta(minutes=1)
    assert services.fail_lost_reports(now=later) == 1
    report.refresh_from_db()
    assert "whether the worker process runs" in report.problem


def test_a_report_whose_worker_died_can_be_cancelled_before_anybody_noticed(
    filled: Ledger,
) -> None:
    report = running_report(timedelta(minutes=1))
    services.cancel_report(report=report, by=ANA, reason="not needed")
    assert services.fail_lost_reports(now=timezone.now() + timedelta(hours=1)) == 0
    report.refresh_from_db()
    assert report.state == JobState.CANCELLED


def test_a_worker_that_comes_back_after_it_was_given_up_changes_nothing(filled: Ledger) -> None:
    lost = jobs.LOST_AFTER + timedelta(seconds=1)
    report = running_report(lost, tries=services.MOST_TRIES)
    services.fail_lost_reports()
    with pytest.raises(services.Cancelled):
        services._progress_of(report)(1, 2)
    report.refresh_from_db()
    assert report.state == JobState.FAILED


def test_lost_reports_do_not_use_up_the_places_of_others(filled: Ledger) -> None:
    for _ in range(services.MOST_AT_ONCE):
        running_report(jobs.LOST_AFTER + timedelta(seconds=1))
    fresh = services.request_report(period_from=FROM, period_to=timezone.now(), by=ANA)
    assert fresh.state == JobState.WAITING


def test_a_verification_whose_worker_died_frees_the_button_and_is_recorded(
    filled: Ledger,
) -> None:
    job = verification.request(by=ANA)
    lost = timezone.now() - jobs.LOST_AFTER - timedelta(seconds=1)
    Verification.objects.filter(pk=job.pk).update(
        state=JobState.RUNNING, started_at=lost, seen_at=lost
    )
    again = verification.request(by=ANA)
    job.refresh_from_db()
    assert (job.state, again.state) == (JobState.FAILED, JobState.WAITING)
    assert job.problem.endswith("Verify again.")
    assert job.is_ok is None
    events = recorded("trail.verification_failed")
    assert str(job.pk) in [event.entry["details"]["verification_id"] for event in events]
