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
from audit.reports import services
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
