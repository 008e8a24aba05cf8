"""Verify now: the whole ledger recomputed as a job, with its outcome recorded in the ledger."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import fsck
from audit.actors import SYSTEM, Actor
from audit.errors import LedgerFault, LogBusy
from audit.ledger import record
from audit.models import ENDED, JobState, Verification

LOST_AFTER = timedelta(hours=6)
NO_QUEUE = "The job queue does not answer. Nothing was started."


class _Stopped(Exception):
    pass


def request(*, by: Actor, reason: str = "") -> Verification:
    """Ask for a verification; raises LogBusy while one is running."""
    _give_up_on_lost_jobs()
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


def _give_up_on_lost_jobs() -> None:
    # A worker that was killed leaves its job behind; it must not lock the button for ever.
    Verification.objects.exclude(state__in=ENDED).filter(
        requested_at__lt=timezone.now() - LOST_AFTER
    ).update(state=JobState.FAILED, ended_at=timezone.now(), problem="The worker was lost.")


def could_not_start(*, verification_id: UUID) -> None:
    """The job queue does not answer: say so instead of waiting for ever."""
    Verification.objects.filter(pk=verification_id, state=JobState.WAITING).update(
        state=JobState.FAILED, ended_at=timezone.now(), problem=NO_QUEUE
    )


def run(*, verification_id: UUID) -> Verification:
    """Do a verification that waits. Safe to run twice."""
    started = monotonic()
    waiting = Verification.objects.filter(pk=verification_id, state=JobState.WAITING)
    if not waiting.update(state=JobState.RUNNING, started_at=timezone.now()):
        return Verification.objects.get(pk=verification_id)

    def progress(done: int, total: int) -> None:
        running = Verification.objects.filter(pk=verification_id, state=JobState.RUNNING)
        if not running.update(done=done, total=total):
            raise _Stopped

    try:
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
