"""Backtests: decides the recorded decisions of a window again under another version.

Facts are re-decided, never prompts; no backend is called and no answer is made. Memory is bounded:
the decisions are read by keyset, and only so many of each bucket are listed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.utils import timezone

import audit
from accounts.models import User
from audit import jobs
from audit.actors import SYSTEM, Actor
from audit.ids import first_id
from routing.engine.canonical import digest as digest_of
from routing.models import Backtest, BacktestChange, Decision, PolicyVersion
from routing.services.analysis import registry_facts
from routing.services.deltas import Deltas, Usage, Usual
from routing.services.redecide import BATCH, Redecider, compiled_version
from routing.services.replay import backends_as_json
from routing.services.tally import Read, Tally
from screens.access import may
from screens.errors import Conflict, DomainError, Invalid, NotAllowed

log = logging.getLogger(__name__)

State = Backtest.State
MOST_AT_ONCE = 2
LONGEST_DAYS = 90
WORDS = jobs.Words(
    lost="The worker that ran it ended before the run did: it was stopped, or the machine ran out "
    "of memory. Start it again; if it is lost again, take a sample.",
    too_long="It ran for four hours without an end and was given up. Take fewer days or a sample.",
    not_taken="No worker took it within an hour. Ask an operator whether the worker process runs "
    "(the page System says so), then start it again.",
)
# Until a first run has been measured here.
DECISIONS_PER_S = 2000.0

_PAGE = """
    SELECT d.id, d.input_tokens, d.output_tokens, e.body
    FROM routing_decision d JOIN audit.event e ON e.id = d.id
    WHERE d.route = %(route)s AND d.id < %(below)s AND d.id >= %(from)s
      AND ('x' || right(d.id::text, 8))::bit(32)::bigint < %(share)s
    ORDER BY d.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a run over a window would read, and how long that is expected to take."""

    in_window: int
    taken: int
    seconds: float


def registry_digest() -> str:
    """What the registry says today; another digest makes a result stale."""
    return digest_of(backends_as_json(registry_facts()))


def is_stale(backtest: Backtest) -> str:
    """Why the result does not speak for the version as it would decide now, or nothing."""
    if backtest.version.digest != backtest.digest:
        return "The version was edited after this run."
    if backtest.registry_digest != registry_digest():
        return "The registry of backends or their sign-offs changed after this run."
    return ""


def size_of(*, route: str, since: datetime, until: datetime, sample: int | None) -> Size:
    in_window = Decision.objects.filter(
        route=route, id__gte=first_id(since), id__lt=first_id(until)
    ).count()
    taken = min(in_window, sample) if sample else in_window
    return Size(in_window=in_window, taken=taken, seconds=taken / _speed())


def _speed() -> float:
    """Decisions a second of the last run that is worth measuring."""
    last = Backtest.objects.filter(state=State.DONE, done__gte=500).first()
    if last is None or last.started_at is None or last.finished_at is None:
        return DECISIONS_PER_S
    return last.done / max(0.05, (last.finished_at - last.started_at).total_seconds())


def _require(by: User) -> None:
    """Who writes versions may try them out, and who approves them too."""
    if not (may(by, "routing.edit_policy") or may(by, "routing.approve_policy")):
        raise NotAllowed


def _record(kind: str, backtest: Backtest, by: Actor, **more: Any) -> None:
    details = {"backtest": str(backtest.pk), "digest": backtest.digest, **more.pop("details", {})}
    audit.record(
        kind,
        by=by,
        object_type="policy_version",
        object_id=str(backtest.version),
        details=details,
        **more,
    )


@transaction.atomic
def request_backtest(
    *, version: PolicyVersion, days: int, sample: int | None = None, by: User | None = None
) -> Backtest:
    """Put a run over the last `days` on the list; a task makes it. Without `by`: the command line.

    Raises Invalid for a document that is no policy or a window that is none, Conflict for too many.
    """
    if by is not None:
        _require(by)
    if not 1 <= days <= LONGEST_DAYS:
        raise Invalid(f"A window has 1 to {LONGEST_DAYS} days.", code="window_invalid")
    compiled_version(version)
    fail_lost_backtests()
    if Backtest.objects.filter(state__in=(State.QUEUED, State.RUNNING)).count() >= MOST_AT_ONCE:
        raise Conflict(
            f"{MOST_AT_ONCE} backtests are waiting or running already.",
            code="backtests_busy",
            what_next="Wait for one to end, or cancel it.",
        )
    until = timezone.now()
    since = until - timedelta(days=days)
    size = size_of(route=version.route.slug, since=since, until=until, sample=sample)
    if not size.taken:
        raise Invalid("The route made no decision in this window.", code="window_empty")
    actor = Actor.of(by) if by else SYSTEM("command line")
    backtest = Backtest.objects.create(
        version=version,
        digest=version.digest,
        registry_digest=registry_digest(),
        since=since,
        until=until,
        sample=sample,
        in_window=size.in_window,
        total=size.taken,
        requested_by=actor.name,
        by=by,
    )
    _record(
        "policy.backtest_requested",
        backtest,
        actor,
        details={"since": since, "until": until, "sample": sample},
    )
    return backtest


@transaction.atomic
def cancel_backtest(*, backtest: Backtest, by: User, reason: str = "") -> Backtest:
    """Stop a run that has not ended; raises Conflict when it has."""
    _require(by)
    stopped = Backtest.objects.filter(
        pk=backtest.pk, state__in=(State.QUEUED, State.RUNNING)
    ).update(state=State.CANCELLED, finished_at=timezone.now())
    if not stopped:
        raise Conflict("This backtest has already ended.", code="already_ended")
    backtest.refresh_from_db()
    _record("policy.backtest_cancelled", backtest, Actor.of(by), reason=reason.strip()[:300])
    return backtest


@transaction.atomic
def fail_backtest(*, backtest: Backtest, problem: str) -> Backtest:
    """End a run that cannot go on; one that has ended stays as it is."""
    ended = Backtest.objects.filter(pk=backtest.pk, state__in=(State.QUEUED, State.RUNNING)).update(
        state=State.FAILED, problem=problem[:300], finished_at=timezone.now()
    )
    backtest.refresh_from_db()
    if ended:
        BacktestChange.objects.filter(backtest=backtest).delete()
        _record(
            "policy.backtest_failed",
            backtest,
            SYSTEM("backtest"),
            reason=problem[:300],
            result="failed",
        )
    return backtest


def fail_lost_backtests(*, now: datetime | None = None) -> int:
    """End runs whose worker is gone, that run too long, or that nobody took. Safe to run twice."""
    failed = jobs.overdue(
        Backtest.objects.filter(state=State.RUNNING),
        Backtest.objects.filter(state=State.QUEUED),
        asked="created_at",
        words=WORDS,
        now=now or timezone.now(),
    )
    for backtest, problem in failed.items():
        fail_backtest(backtest=backtest, problem=problem)
    return len(failed)


@transaction.atomic
def acknowledge_guardrails(*, backtest: Backtest, by: User, reason: str) -> Backtest:
    """Take note of the guardrails that decisions would cross, with the reason why it is right."""
    _require(by)
    said = reason.strip()[:500]
    if not said:
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    waiting = Backtest.objects.filter(
        pk=backtest.pk, state=State.DONE, result__crossing__gt=0, acknowledged_at=None
    )
    if not waiting.update(
        acknowledged_by=by, acknowledged_at=timezone.now(), acknowledged_why=said
    ):
        raise Conflict("There is nothing to take note of, or somebody has already.")
    backtest.refresh_from_db()
    crossed = backtest.result["guardrails"]
    _record(
        "policy.guardrails_acknowledged",
        backtest,
        Actor.of(by),
        reason=said,
        details={"decisions": backtest.result["crossing"], "guardrails": crossed},
    )
    return backtest


def unacknowledged(version: PolicyVersion) -> Backtest | None:
    """The newest run of this very document, if nobody took note of the guardrails it crosses."""
    last = Backtest.objects.filter(version=version, digest=version.digest, state=State.DONE).first()
    if last is None or not last.result["crossing"] or last.acknowledged_at is not None:
        return None
    return last


class _Cancelled(Exception):
    """Somebody stopped the run."""


def run_backtest(*, backtest_id: UUID) -> Backtest:
    """Make a run that waits. Safe to run twice: the second finds it taken or ended."""
    now = timezone.now()
    waiting = Backtest.objects.filter(pk=backtest_id, state=State.QUEUED)
    lost = Backtest.objects.filter(
        pk=backtest_id, state=State.RUNNING, seen_at__lt=now - jobs.LOST_AFTER
    )
    started = {"state": State.RUNNING, "started_at": now, "seen_at": now}
    taken = waiting.update(**started) or lost.update(**started)
    backtest = Backtest.objects.select_related("version__route").get(pk=backtest_id)
    if not taken:
        return backtest
    BacktestChange.objects.filter(backtest=backtest).delete()
    try:
        with jobs.signs_of_life(lambda: _still_running(backtest)):
            run = _decide_all(backtest)
    except _Cancelled:
        BacktestChange.objects.filter(backtest=backtest).delete()
        backtest.refresh_from_db()
        return backtest
    except DomainError as problem:
        return fail_backtest(backtest=backtest, problem=problem.message)
    except Exception:
        log.exception("A backtest broke off.")
        return fail_backtest(backtest=backtest, problem="It broke off; the log says why.")
    return _finish(backtest, run)


@transaction.atomic
def _finish(backtest: Backtest, run: Tally) -> Backtest:
    result = run.as_json(backtest)
    ended = Backtest.objects.filter(pk=backtest.pk, state=State.RUNNING).update(
        state=State.DONE,
        finished_at=timezone.now(),
        done=run.read,
        total=run.read,
        counts=dict(run.counts),
        result=result,
    )
    backtest.refresh_from_db()
    if ended:
        _record(
            "policy.backtested",
            backtest,
            SYSTEM("backtest"),
            details={
                "decisions": run.read,
                "counts": dict(run.counts),
                "guardrails": dict(run.guardrails),
            },
        )
    return backtest


def _decide_all(backtest: Backtest) -> Tally:
    version = backtest.version
    if version.digest != backtest.digest:
        raise Invalid("The version was edited before the run began.")
    candidate = compiled_version(version)
    redecider = Redecider(candidate=candidate)
    usual = Usual.of(version.route.slug, backtest.since, backtest.until)
    run = Tally(deltas=Deltas(usual=usual))
    for page in _pages(backtest):
        lines = []
        for read in page:
            own = redecider.versions.of(str(read.details["policy"]))
            policies = [candidate, own] if own is not None else [candidate]
            lines.append(run.judge(read, redecider.again(read.details), policies))
        changes = [line for line in lines if line is not None]
        for change in changes:
            change.backtest = backtest
        BacktestChange.objects.bulk_create(changes)
        _say(backtest, run.read)
    return run


def _still_running(backtest: Backtest) -> None:
    Backtest.objects.filter(pk=backtest.pk, state=State.RUNNING).update(seen_at=timezone.now())


def _say(backtest: Backtest, done: int) -> None:
    running = Backtest.objects.filter(pk=backtest.pk, state=State.RUNNING)
    if not running.update(done=done, seen_at=timezone.now()):
        raise _Cancelled


def _pages(backtest: Backtest) -> Iterator[list[Read]]:
    """The decisions of the window, newest first. A sample is the share of ids by their tail."""
    share = 1 << 32
    if backtest.sample and backtest.sample < backtest.in_window:
        share = share * backtest.sample // backtest.in_window
    below = first_id(backtest.until)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                _PAGE,
                {
                    "route": backtest.version.route.slug,
                    "below": below,
                    "from": first_id(backtest.since),
                    "share": share,
                    "limit": BATCH,
                },
            )
            rows = cursor.fetchall()
        if not rows:
            return
        yield [
            Read(
                id=decision_id,
                usage=Usage(input_tokens=tokens_in, output_tokens=tokens_out),
                details=orjson.loads(bytes(body))["details"],
            )
            for decision_id, tokens_in, tokens_out, body in rows
        ]
        below = rows[-1][0]
