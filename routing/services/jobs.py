"""What long jobs share: a sign of life while they run, and when one counts as lost.

A job's row says `running`; only its process can say that this is still true. Whoever finds no sign
of life for LOST_AFTER, or a job that runs for MOST_RUNNING, ends it in words.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import DatabaseError, connection

log = logging.getLogger(__name__)

BEAT_S = 15.0
LOST_AFTER = timedelta(minutes=2)
MOST_RUNNING = timedelta(hours=4)
MOST_WAITING = timedelta(hours=1)


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
