"""Asking for, making, cancelling and handing out reports. Each of these is itself recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from audit import jobs, keys
from audit.actors import SYSTEM, Actor
from audit.errors import LedgerFault, LogBusy
from audit.ledger import record
from audit.models import ENDED, Checkpoint, JobState, Report
from audit.notes import stamp
from audit.reports import bundle, cut
from screens.errors import Conflict, Invalid, NotFound

WAIT_FOR_CHECKPOINT_S = 5.0
MOST_AT_ONCE = 4
# A machine that cannot make it three times will not make it the fourth time.
MOST_TRIES = 3
WORDS = jobs.Words(
    lost="Its worker ended before the report did, three times: it was stopped, or the machine ran "
    "out of memory or disk. Ask for it again; the same period gives the same bytes.",
    too_long="It ran for four hours without an end and was given up. Ask for a shorter period.",
    not_taken="No worker took it within an hour. Ask an operator whether the worker process runs "
    "(the page System says so), then ask for the report again.",
)


class Cancelled(Exception):
    """The person who asked does not want it any more."""


def request_report(
    *,
    period_from: datetime,
    period_to: datetime,
    by: Actor,
    reason: str = "",
    seed: str = "",
    is_scheduled: bool = False,
) -> Report:
    """Put a report on the list; a task makes it. Raises Invalid for a period that is none.

    ``seed`` draws the auditor's sample; without one it is drawn by the end root.
    """
    if period_from >= period_to:
        raise Invalid("The period must end after it begins.", code="period_empty")
    if period_from > timezone.now():
        raise Invalid(
            "The period lies in the future, so nothing is recorded yet.", code="period_future"
        )
    fail_lost_reports()
    with transaction.atomic():
        # A lost one waits to be taken up again; it does not use up the place of another.
        gone = Q(state=JobState.RUNNING, seen_at__lt=timezone.now() - jobs.LOST_AFTER)
        waiting = Report.objects.exclude(state__in=ENDED).exclude(gone).count()
        if waiting >= MOST_AT_ONCE:
            raise LogBusy(f"{waiting} reports are being made already.")
        report = Report.objects.create(
            period_from=period_from,
            period_to=period_to,
            requested_by=by.name,
            seed=seed.strip(),
            is_scheduled=is_scheduled,
        )
        record(
            "report.requested",
            by=by,
            object_type="report",
            object_id=report.pk,
            reason=reason,
            details={
                "period_from": period_from,
                "period_to": period_to,
                "seed": seed.strip(),
                "is_scheduled": is_scheduled,
            },
        )
    return report


def make_report(*, report_id: UUID) -> Report:
    """Make a report that waits. Safe to run twice: the second run finds it taken or ended."""
    now = timezone.now()
    taken = Report.objects.filter(pk=report_id, state=JobState.WAITING).update(
        state=JobState.RUNNING, started_at=now, seen_at=now, done=0, tries=F("tries") + 1
    )
    report = Report.objects.get(pk=report_id)
    if not taken:
        return report
    try:
        with jobs.signs_of_life(lambda: _still_running(report)):
            if report.end_size is None:
                _fix_sizes(report)
            written = _write(report, _progress_of(report))
    except Cancelled:
        return Report.objects.get(pk=report_id)
    except (LedgerFault, Invalid, OSError) as problem:
        return _failed(report, str(problem))
    return _ready(report, written)


def _fix_sizes(report: Report) -> None:
    wait_for_checkpoint(report.period_to)
    chosen = cut.choose(report.period_from, report.period_to)
    report.start_size, report.end_size = chosen.start.size, chosen.end.size
    report.total = chosen.entries
    report.save(update_fields=["start_size", "end_size", "total"])


def wait_for_checkpoint(period_to: datetime, *, seconds: float = WAIT_FOR_CHECKPOINT_S) -> bool:
    """Wait until the log was signed after the period ended, or after now while it is running.

    The recorded request is itself an entry, so the sequencer will sign within its next round.
    """
    wanted = min(period_to, timezone.now())
    until = time.monotonic() + seconds
    while not (signed := Checkpoint.objects.filter(at__gte=wanted).exists()):
        if time.monotonic() >= until:
            break
        time.sleep(0.1)
    return signed


def _write(report: Report, progress: bundle.Progress) -> bundle.Written:
    if report.start_size is None or report.end_size is None:
        raise LedgerFault("the report has no checkpoints")
    request = bundle.Request(
        period_from=report.period_from,
        period_to=report.period_to,
        cut=cut.of_sizes(report.start_size, report.end_size),
        seed=report.seed,
    )
    return bundle.write(path_of(report), request, keys.signer(), progress)


def _progress_of(report: Report) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if not _own(report).update(done=done, total=total, seen_at=timezone.now()):
            raise Cancelled

    return progress


def _own(report: Report) -> QuerySet[Report]:
    """The report while it is still this worker's: neither ended nor begun again by another."""
    return Report.objects.filter(pk=report.pk, state=JobState.RUNNING, tries=report.tries)


def path_of(report: Report) -> Path:
    return Path(settings.REPORTS_DIR) / f"{report.pk}.zip"


def _ready(report: Report, written: bundle.Written) -> Report:
    with transaction.atomic():
        ended = _own(report).update(
            state=JobState.READY,
            ended_at=timezone.now(),
            done=written.entries,
            total=written.entries,
            entries=written.entries,
            bytes=written.bytes,
            digest=written.digest,
            path=path_of(report).name,
        )
        tries = report.tries
        report.refresh_from_db()
        if not ended:
            if report.tries == tries:
                path_of(report).unlink(missing_ok=True)
            return report
        record_generated(
            report.pk,
            written,
            report.period_from,
            report.period_to,
            SYSTEM("reports"),
            is_scheduled=report.is_scheduled,
        )
    return report


def record_generated(
    report_id: object,
    written: bundle.Written,
    period_from: datetime,
    period_to: datetime,
    by: Actor,
    *,
    is_scheduled: bool = False,
) -> None:
    record(
        "report.generated",
        by=by,
        object_type="report",
        object_id=report_id,
        details={
            "period_from": stamp(period_from),
            "period_to": stamp(period_to),
            "entries": written.entries,
            "bytes": written.bytes,
            "digest": written.digest,
            "is_scheduled": is_scheduled,
        },
    )


def _still_running(report: Report) -> None:
    _own(report).update(seen_at=timezone.now())


def _failed(report: Report, problem: str) -> Report:
    with transaction.atomic():
        ended = (
            Report.objects.filter(pk=report.pk, tries=report.tries)
            .exclude(state__in=ENDED)
            .update(state=JobState.FAILED, ended_at=timezone.now(), problem=problem)
        )
        if ended:
            record(
                "report.failed",
                by=SYSTEM("reports"),
                object_type="report",
                object_id=report.pk,
                reason=problem[:500],
                result="failed",
            )
    report.refresh_from_db()
    return report


def could_not_start(*, report: Report) -> None:
    """The job queue does not answer: the report fails at once instead of waiting for ever."""
    _failed(report, "The job queue does not answer. Nothing was started.")


def take_up_lost_reports(*, now: datetime | None = None) -> list[UUID]:
    """Put reports whose worker is gone back on the list, and return them to be sent again.

    They begin again on the checkpoints that were fixed first, so the bytes are the same.
    """
    now = now or timezone.now()
    lost = Report.objects.filter(
        state=JobState.RUNNING,
        tries__lt=MOST_TRIES,
        seen_at__lt=now - jobs.LOST_AFTER,
        started_at__gte=now - jobs.MOST_RUNNING,
    )
    taken: list[UUID] = []
    for report in lost:
        with transaction.atomic():
            if _own(report).update(state=JobState.WAITING, seen_at=now):
                record(
                    "report.taken_up_again",
                    by=SYSTEM("reports"),
                    object_type="report",
                    object_id=report.pk,
                    details={"tries": report.tries},
                )
                taken.append(report.pk)
    return taken


def fail_lost_reports(*, now: datetime | None = None) -> int:
    """End reports whose worker was lost too often, that run too long, or that nobody took."""
    now = now or timezone.now()
    waiting = Report.objects.filter(state=JobState.WAITING)
    running = Report.objects.filter(state=JobState.RUNNING)
    old = now - jobs.MOST_RUNNING
    given_up = running.filter(Q(tries__gte=MOST_TRIES) | Q(started_at__lt=old))
    none = Report.objects.none()
    failed = jobs.overdue(
        given_up, waiting.filter(tries=0), asked="requested_at", words=WORDS, now=now
    ) | jobs.overdue(none, waiting.filter(tries__gt=0), asked="seen_at", words=WORDS, now=now)
    for report, problem in failed.items():
        _failed(report, problem)
        # Half a file is no report; the name is the job's own, so no other one can lose its file.
        path_of(report).unlink(missing_ok=True)
    return len(failed)


def cancel_report(*, report: Report, by: Actor, reason: str = "") -> Report:
    """Stop a report that has not ended; raises Conflict when it has."""
    with transaction.atomic():
        stopped = (
            Report.objects.filter(pk=report.pk)
            .exclude(state__in=ENDED)
            .update(state=JobState.CANCELLED, ended_at=timezone.now())
        )
        if not stopped:
            raise Conflict("This report has already ended.", code="already_ended")
        record("report.cancelled", by=by, object_type="report", object_id=report.pk, reason=reason)
    report.refresh_from_db()
    return report


def download_report(*, report: Report, by: Actor) -> Path:
    """The file, once its bytes are those that were recorded; the download is recorded."""
    path = path_of(report)
    if report.state != JobState.READY or not path.is_file():
        raise NotFound("This report has no file.", code="report_file_missing")
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    if "sha256:" + digest.hexdigest() != report.digest:
        raise Conflict(
            "The file of this report is not the one that was made: it is not handed out.",
            code="report_file_changed",
            what_next="Make the report again; the same period gives the same bytes.",
        )
    with transaction.atomic():
        record(
            "report.downloaded",
            by=by,
            object_type="report",
            object_id=report.pk,
            details={"digest": report.digest, "bytes": report.bytes},
        )
    return path


def moment_of(text: str) -> datetime:
    """A date or time as people write it, read as UTC; raises Invalid."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Invalid(
            f"{text!r} is not a date or time such as 2026-11-01 or 2026-11-01T08:00.",
            code="moment_unreadable",
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
