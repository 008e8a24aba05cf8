from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit import verification
from audit.errors import LogBusy
from audit.models import Event, JobState, Report, Verification
from audit.reports import schedule, services
from screens.errors import Conflict, Invalid, NotFound
from tests.audit.conftest import ANA, Ledger

FROM = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "WAIT_FOR_CHECKPOINT_S", 0.0)
    monkeypatch.setattr(services, "wait_for_checkpoint", lambda *_, **__: True)


def ask(**more: Any) -> Report:
    period = {"period_from": FROM, "period_to": datetime.now(UTC) + timedelta(days=1)}
    return services.request_report(**{**period, "by": ANA, "reason": "audit 2026", **more})


def test_a_report_is_asked_for_made_and_taken_and_all_is_recorded(filled: Ledger) -> None:
    report = services.make_report(report_id=ask().pk)

    path = services.download_report(report=report, by=ANA)

    assert (report.state, report.entries, report.percent) == (JobState.READY, 14, 100)
    assert path.stat().st_size == report.bytes
    kinds = Event.objects.filter(kind__startswith="report.").order_by("at")
    assert [event.kind for event in kinds] == [
        "report.requested",
        "report.generated",
        "report.downloaded",
    ]


def test_a_second_run_of_the_task_changes_nothing(filled: Ledger) -> None:
    first = services.make_report(report_id=ask().pk)

    again = services.make_report(report_id=first.pk)

    assert again.digest == first.digest
    assert Event.objects.filter(kind="report.generated").count() == 1


def test_a_cancelled_report_is_not_made(filled: Ledger) -> None:
    report = services.cancel_report(report=ask(), by=ANA)

    assert services.make_report(report_id=report.pk).state == JobState.CANCELLED
    assert not services.path_of(report).exists()


def test_a_report_that_is_cancelled_while_it_is_made_leaves_no_file(
    filled: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audit.reports import bundle

    report = ask()
    monkeypatch.setattr(bundle, "BATCH", 2)
    go_on = services._progress_of(report)

    def cancel_then_go_on(done: int, total: int) -> None:
        Report.objects.filter(pk=report.pk).update(state=JobState.CANCELLED)
        go_on(done, total)

    monkeypatch.setattr(services, "_progress_of", lambda _: cancel_then_go_on)
    made = services.make_report(report_id=report.pk)

    assert made.state == JobState.CANCELLED
    assert not services.path_of(report).exists()


def test_a_finished_report_cannot_be_cancelled(filled: Ledger) -> None:
    report = services.make_report(report_id=ask().pk)

    with pytest.raises(Conflict):
        services.cancel_report(report=report, by=ANA)


def test_a_changed_file_is_not_handed_out(filled: Ledger) -> None:
    report = services.make_report(report_id=ask().pk)
    path = services.path_of(report)
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    with pytest.raises(Conflict, match="not the one that was made"):
        services.download_report(report=report, by=ANA)


def test_a_missing_file_is_not_handed_out(filled: Ledger) -> None:
    with pytest.raises(NotFound):
        services.download_report(report=ask(), by=ANA)


def test_without_the_signing_key_a_report_fails_in_words(filled: Ledger, settings: Any) -> None:
    Path(settings.AUDIT_KEY_FILE).unlink()

    report = services.make_report(report_id=ask().pk)

    assert (report.state, report.problem) == (JobState.FAILED, "there is no key file audit.key")


def test_an_empty_ledger_has_nothing_to_report(ledger: Ledger) -> None:
    report = services.make_report(report_id=ask().pk)

    assert report.state == JobState.FAILED
    assert "no checkpoint yet" in report.problem


@pytest.mark.parametrize(
    "period",
    [
        {"period_from": FROM, "period_to": FROM},
        {"period_from": FROM, "period_to": FROM - timedelta(days=1)},
        {
            "period_from": datetime(2101, 1, 1, tzinfo=UTC),
            "period_to": datetime(2102, 1, 1, tzinfo=UTC),
        },
    ],
)
def test_a_period_that_is_none_is_refused(ledger: Ledger, period: dict[str, datetime]) -> None:
    with pytest.raises(Invalid):
        ask(**period)


def test_only_a_few_reports_are_made_at_once(ledger: Ledger) -> None:
    [ask() for _ in range(services.MOST_AT_ONCE)]

    with pytest.raises(LogBusy):
        ask()


def test_the_command_writes_a_bundle(filled: Ledger, tmp_path: Path) -> None:
    out, target = StringIO(), tmp_path / "bundle.zip"

    call_command(
        "audit_report", "--from", "2026-01-01", "--to", "2100-01-01", "--out", str(target),
        "--wait", "0", stdout=out,
    )  # fmt: skip

    assert target.exists()
    assert "14 entries, sha256:" in out.getvalue()
    assert "complete only until then" in out.getvalue()
    assert Event.objects.filter(kind="report.generated").count() == 1


@pytest.mark.parametrize("dates", [("2026-13-01", "2026-12-01"), ("2026-02-01", "2026-01-01")])
def test_the_command_refuses_a_period_that_is_none(
    ledger: Ledger, tmp_path: Path, dates: tuple[str, str]
) -> None:
    with pytest.raises(CommandError):
        call_command(
            "audit_report", "--from", dates[0], "--to", dates[1], "--out", str(tmp_path / "b.zip")
        )


def test_the_command_prints_the_key_that_verifies(filled: Ledger) -> None:
    out = StringIO()

    call_command("audit_key", stdout=out)

    assert out.getvalue().startswith("test.example/ledger+")


def test_a_verification_records_that_all_is_well(filled: Ledger) -> None:
    job = verification.run(verification_id=verification.request(by=ANA).pk)

    assert (job.is_ok, job.size) == (True, 14)
    event = Event.objects.get(kind="trail.verified")
    assert (event.result, event.entry["details"]["size"]) == ("ok", 14)


def test_a_verification_records_what_is_broken(filled: Ledger) -> None:
    filled.attack("DELETE FROM audit.leaf WHERE seq = 3")

    job = verification.run(verification_id=verification.request(by=ANA).pk)

    assert (job.is_ok, job.sentence) == (False, "entry 3 is missing from the tree")
    event = Event.objects.get(kind="trail.verified")
    assert (event.result, event.entry["details"]["first_broken_seq"]) == ("failed", 3)


def test_only_one_verification_runs(ledger: Ledger) -> None:
    verification.request(by=ANA)

    with pytest.raises(LogBusy):
        verification.request(by=ANA)


def test_a_lost_verification_does_not_lock_the_button(ledger: Ledger) -> None:
    lost = verification.request(by=ANA)
    Verification.objects.update(requested_at=datetime.now(UTC) - timedelta(hours=7))

    assert verification.request(by=ANA).pk != lost.pk


LATER = timedelta(minutes=3)


def lose(report: Report) -> None:
    """What a worker leaves that was killed in the middle: a running report and half a file."""
    now = datetime.now(UTC)
    Report.objects.filter(pk=report.pk).update(
        state=JobState.RUNNING, tries=1, started_at=now, seen_at=now, start_size=0, end_size=14
    )
    draft = services.path_of(report).parent / f".draft-{report.pk}-x.zip"
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_bytes(b"half")


def test_a_report_whose_worker_was_killed_is_made_again_with_the_same_bytes(
    filled: Ledger,
) -> None:
    until = datetime.now(UTC) + timedelta(days=1)
    first = services.make_report(report_id=ask(period_to=until).pk)
    report = ask(period_to=until)
    lose(report)
    filled.decisions(2)
    filled.sequence()

    taken = services.take_up_lost_reports(now=datetime.now(UTC) + LATER)
    again = services.make_report(report_id=taken[0])

    assert (again.state, again.tries, again.digest) == (JobState.READY, 2, first.digest)
    assert not list(services.path_of(report).parent.glob(".draft-*"))
    assert Event.objects.filter(kind="report.taken_up_again").count() == 1


def test_a_report_is_not_taken_up_while_its_worker_lives(filled: Ledger) -> None:
    lose(ask())

    assert services.take_up_lost_reports() == []


def test_a_report_that_was_lost_three_times_fails_in_words(filled: Ledger) -> None:
    report = ask()
    lose(report)
    Report.objects.update(tries=services.MOST_TRIES)
    later = datetime.now(UTC) + LATER

    assert services.take_up_lost_reports(now=later) == []
    assert services.fail_lost_reports(now=later) == 1
    report.refresh_from_db()
    assert (report.state, "three times" in report.problem) == (JobState.FAILED, True)


def test_a_worker_that_was_overtaken_writes_nothing(
    filled: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audit.reports import bundle

    report = ask()
    monkeypatch.setattr(bundle, "BATCH", 2)
    go_on = services._progress_of

    def overtake(own: Report) -> Any:
        step = go_on(own)

        def progress(done: int, total: int) -> None:
            Report.objects.filter(pk=own.pk).update(tries=own.tries + 1)
            step(done, total)

        return progress

    monkeypatch.setattr(services, "_progress_of", overtake)
    made = services.make_report(report_id=report.pk)

    assert (made.state, made.tries) == (JobState.RUNNING, 2)
    assert not services.path_of(report).exists()


NEXT_MONTH = datetime(2099, 2, 3, tzinfo=UTC)


def test_a_month_is_reported_once_when_the_schedule_is_on(
    filled: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.timezone, "now", lambda: NEXT_MONTH)
    schedule.switch_monthly(on=True, by=ANA, reason="asked for by the auditor")

    asked = [schedule.request_due(now=NEXT_MONTH) for _ in range(3)]

    report = Report.objects.get()
    assert (report.period_from, report.period_to) == (
        datetime(2099, 1, 1, tzinfo=UTC),
        datetime(2099, 2, 1, tzinfo=UTC),
    )
    assert asked == [report.pk, None, None]


def test_nothing_is_made_while_the_schedule_is_off(filled: Ledger) -> None:
    assert schedule.request_due(now=NEXT_MONTH) is None
    schedule.switch_monthly(on=True, by=ANA, reason="wanted")
    schedule.switch_monthly(on=False, by=ANA, reason="not any more")

    assert schedule.request_due(now=NEXT_MONTH) is None
    assert Event.objects.filter(kind=schedule.SWITCH).count() == 2


def test_a_month_that_was_over_before_the_switch_is_not_made(filled: Ledger) -> None:
    schedule.switch_monthly(on=True, by=ANA, reason="wanted")

    assert schedule.request_due() is None


@pytest.mark.parametrize(
    ("now", "month"),
    [
        (datetime(2026, 12, 1, tzinfo=UTC), (datetime(2026, 11, 1, tzinfo=UTC), 12)),
        (datetime(2027, 1, 31, 23, 59, tzinfo=UTC), (datetime(2026, 12, 1, tzinfo=UTC), 1)),
    ],
)
def test_last_month_is_the_whole_one_that_ended(now: datetime, month: tuple[Any, int]) -> None:
    begin, end = schedule.last_month(now)

    assert (begin, end.month, end.day) == (month[0], month[1], 1)
