"""Verify now: the whole ledger recomputed as a job, with its outcome recorded in the ledger."""

from __future__ import annotations

from datetime import datetime
from time import monotonic
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import fsck, jobs
from audit.actors import SYSTEM, Actor
from audit.errors import LedgerFault, LogBusy
from audit.ledger import record
from audit.models import ENDED, JobState, Verification

WORDS = jobs.Words(
    lost="The worker that verified ended before the verification did: it was stopped, or the "
    "machine ran out of memory. Nothing is known of the trail from it. Verify again.",
    too_long="It ran for four hours without an end and was given up. Verify with manage.py "
    "audit_fsck, which has no such limit.",
    not_taken="No worker took it within an hour. Ask an operator whether the worker process runs "
    "(the page System says so), then verify again.",
)
NO_QUEUE = "The job queue does not answer. Nothing was started."


class _Stopped(Exception):
    pass


def request(*, by: Actor, reason: str = "") -> Verification:
    """Ask for a verification; raises LogBusy while one is running."""
    fail_lost()
    try:
        with transaction.atomic():
            job = Verification.objects.create(requested_by=by.name)
            record(
                "trail.verification_requested",
                by=by,
                object_type="log",
                object_id="ledger",
                reason=reason,
                details={"verification_id": str(job.pk)},
            )
    except IntegrityError:
        raise LogBusy("A verification is already running.") from None
    return job


def fail_lost(*, now: datetime | None = None) -> int:
    """End verifications that cannot be going on: one left behind would lock the button for ever."""
    failed = jobs.overdue(
        Verification.objects.filter(state=JobState.RUNNING),
        Verification.objects.filter(state=JobState.WAITING),
        asked="requested_at",
        words=WORDS,
        now=now or timezone.now(),
    )
    return sum(_fail(job, problem) for job, problem in failed.items())


def _fail(job: Verification, problem: str) -> bool:
    with transaction.atomic():
        ended = (
            Verification.objects.filter(pk=job.pk)
            .exclude(state__in=ENDED)
            .update(state=JobState.FAILED, ended_at=timezone.now(), problem=problem)
        )
        if ended:
            record(
                "trail.verification_failed",
                by=SYSTEM("verification"),
                object_type="log",
                object_id="ledger",
                reason=problem[:500],
                result="failed",
                details={"verification_id": str(job.pk)},
            )
    return bool(ended)


def could_not_start(*, verification_id: UUID) -> None:
    """The job queue does not answer: say so instead of waiting for ever."""
    Verification.objects.filter(pk=verification_id, state=JobState.WAITING).update(
        state=JobState.FAILED, ended_at=timezone.now(), problem=NO_QUEUE
    )


def run(*, verification_id: UUID) -> Verification:
    """Do a verification that waits. Safe to run twice."""
    started = monotonic()
    waiting = Verification.objects.filter(pk=verification_id, state=JobState.WAITING)
    now = timezone.now()
    if not waiting.update(state=JobState.RUNNING, started_at=now, seen_at=now):
        return Verification.objects.get(pk=verification_id)

    def progress(done: int, total: int) -> None:
        if not running.update(done=done, total=total, seen_at=timezone.now()):
            raise _Stopped

    running = Verification.objects.filter(pk=verification_id, state=JobState.RUNNING)
    try:
        with jobs.signs_of_life(lambda: running.update(seen_at=timezone.now())):
            result = fsck.check(progress=progress)
    except _Stopped:
        return Verification.objects.get(pk=verification_id)
    except (LedgerFault, OSError, ValueError) as problem:
        result = fsck.Result(findings=[fsck.Finding(sentence=str(problem))])
    return _end(verification_id, result, round((monotonic() - started) * 1000))


def _end(verification_id: UUID, result: fsck.Result, took_ms: int) -> Verification:
    with transaction.atomic():
        Verification.objects.filter(pk=verification_id).exclude(state__in=ENDED).update(
            state=JobState.READY,
            ended_at=timezone.now(),
            is_ok=result.is_ok,
            size=result.size,
            done=result.size,
            total=result.size,
            root=result.root,
            sentence=result.sentence,
        )
        first = result.findings[0] if result.findings else None
        record(
            "trail.verified",
            by=SYSTEM("verification"),
            object_type="log",
            object_id="ledger",
            result="ok" if result.is_ok else "failed",
            details={
                "verification_id": str(verification_id),
                "sentence": result.sentence,
                "size": result.size,
                "root": result.root,
                "checkpoints": result.checkpoints,
                "anchors": result.anchors,
                "findings": len(result.findings),
                "first_broken_seq": first.seq if first else None,
                "first_broken_id": str(first.event_id) if first and first.event_id else None,
                "took_ms": took_ms,
            },
        )
    return Verification.objects.get(pk=verification_id)
