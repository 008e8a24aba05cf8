"""A backtest whose worker died ends in words, can be cancelled, and makes room for the next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from audit import jobs
from audit.models import Event
from routing.models import Backtest, PolicyVersion
from routing.services import backtests
from routing.tasks import fail_lost_jobs

pytestmark = pytest.mark.django_db
People = dict[str, Any]
DraftOf = Callable[..., PolicyVersion]


@pytest.fixture
def running(
    decided: Callable[..., UUID], draft_of: DraftOf, people: People
) -> Callable[[timedelta], Backtest]:
    decided()

    def make(silent: timedelta) -> Backtest:
        waiting = backtests.request_backtest(version=draft_of(), days=14, by=people["arjun"])
        seen = timezone.now() - silent
        Backtest.objects.filter(pk=waiting.pk).update(
            state="running", started_at=seen, seen_at=seen
        )
        waiting.refresh_from_db()
        return waiting

    return make


def test_a_run_whose_worker_died_fails_with_what_to_do_next(
    running: Callable[[timedelta], Backtest],
) -> None:
    lost = running(jobs.LOST_AFTER + timedelta(seconds=1))
    assert fail_lost_jobs() == 1
    lost.refresh_from_db()
    assert lost.state == "failed"
    assert lost.problem.endswith("Start it again; if it is lost again, take a sample.")
    event = Event.objects.get(kind="policy.backtest_failed")
    assert (event.result, event.reason) == ("failed", lost.problem)
    assert fail_lost_jobs() == 0


def test_a_run_that_gives_signs_of_life_goes_on(
    running: Callable[[timedelta], Backtest],
) -> None:
    alive = running(jobs.LOST_AFTER / 2)
    assert fail_lost_jobs() == 0
    alive.refresh_from_db()
    assert alive.state == "running"


def test_a_run_that_nobody_took_says_where_to_look(
    running: Callable[[timedelta], Backtest],
) -> None:
    waiting = running(timedelta(0))
    Backtest.objects.filter(pk=waiting.pk).update(state="queued", started_at=None, seen_at=None)
    later = timezone.now() + jobs.MOST_WAITING + timedelta(minutes=1)
    assert backtests.fail_lost_backtests(now=later) == 1
    waiting.refresh_from_db()
    assert "whether the worker process runs" in waiting.problem


def test_a_run_whose_worker_died_can_be_cancelled(
    running: Callable[[timedelta], Backtest], people: People
) -> None:
    lost = running(jobs.LOST_AFTER * 2)
    stopped = backtests.cancel_backtest(backtest=lost, by=people["arjun"], reason="Enough")
    assert stopped.state == "cancelled"
    assert fail_lost_jobs() == 0


def test_a_worker_that_comes_back_writes_nothing(
    running: Callable[[timedelta], Backtest],
) -> None:
    lost = running(jobs.LOST_AFTER * 2)
    fail_lost_jobs()
    with pytest.raises(backtests._Cancelled):
        backtests._say(lost, 1)
    assert backtests.run_backtest(backtest_id=lost.pk).state == "failed"


def test_lost_runs_make_room_and_are_recorded_when_the_next_is_asked_for(
    running: Callable[[timedelta], Backtest],
) -> None:
    for _ in range(backtests.MOST_AT_ONCE + 1):
        running(jobs.LOST_AFTER * 2)
    failed = Event.objects.filter(kind="policy.backtest_failed")
    assert failed.count() == backtests.MOST_AT_ONCE
