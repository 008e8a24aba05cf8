"""What long jobs share: a sign of life while they run, and when one counts as lost.

A job's row says `running`; only its process can say that this is still true. Whoever finds no sign
of life for LOST_AFTER, or a job that runs for MOST_RUNNING, ends it in words.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, connection
from django.db.models import QuerySet

log = logging.getLogger(__name__)

BEAT_S = 15.0
LOST_AFTER = timedelta(minutes=2)
MOST_RUNNING = timedelta(hours=4)
MOST_WAITING = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is said of a job that ended by itself, each with what to do next."""

    lost: str
    too_long: str
    not_taken: str


def overdue(
    running: QuerySet[Any], waiting: QuerySet[Any], *, asked: str, words: Words, now: datetime
) -> dict[Any, str]:
    """The jobs that cannot be going on any more, and why. `asked` names the time of the request."""
    found = [
        (running.filter(seen_at__lt=now - LOST_AFTER), words.lost),
        (running.filter(started_at__lt=now - MOST_RUNNING), words.too_long),
        (waiting.filter(**{f"{asked}__lt": now - MOST_WAITING}), words.not_taken),
    ]
    # The first that holds is said: it is set last.
    return {job: problem for many, problem in reversed(found) for job in many}


@contextmanager
def signs_of_life(beat: Callable[[], object], *, every_s: float = BEAT_S) -> Iterator[None]:
    """Call `beat` again and again beside the job, however long one of its steps takes.

    `beat` runs in a thread with a database connection of its own; it ends with the process.
    """
    is_over = threading.Event()

    def run() -> None:
        try:
            while not is_over.wait(every_s):
                try:
                    beat()
                except DatabaseError:
                    log.warning("a job could not say that it is running", exc_info=True)
                    connection.close()
        finally:
            connection.close()

    thread = threading.Thread(target=run, name="signs-of-life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(timeout=5)
