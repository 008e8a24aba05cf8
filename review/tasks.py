"""Celery's entries into review: each calls one service and is safe to run twice."""

from __future__ import annotations

from celery import shared_task

from review.services import deadlines, replays


@shared_task(name="review.tasks.sweep", expires=10)
def sweep() -> dict[str, int]:
    return deadlines.sweep()


@shared_task(name="review.tasks.replay")
def replay(candidate_id: int) -> bool:
    return replays.make_candidate(candidate_id=candidate_id)
