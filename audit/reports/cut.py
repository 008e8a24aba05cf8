"""Chooses the piece of the log that a period needs: from one signed checkpoint to another.

The start was signed before the period began, the end after it was over, and every entry whose time
lies in the period is inside. Entries between that lie outside the period are included whole: a mere
hash in their place could hide one that does belong to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from audit.models import Checkpoint
from screens.errors import Invalid


class NothingToReport(Invalid):
    default_message = "The ledger has no checkpoint yet, so there is nothing to report."
    default_code = "no_checkpoint"
    default_what_next = "Start the sequencer, then try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    start: Checkpoint
    end: Checkpoint

    @property
    def entries(self) -> int:
        return self.end.size - self.start.size


def choose(period_from: datetime, period_to: datetime) -> Cut:
    """The smallest cut that holds a half-open period; the newest end when it is not over yet."""
    checkpoints = Checkpoint.objects.order_by("size")
    first, newest = checkpoints.first(), checkpoints.last()
    if first is None or newest is None:
        raise NothingToReport
    start = checkpoints.filter(at__lte=period_from).last() or first
    end = checkpoints.filter(at__gte=period_to).order_by("at").first() or newest
    low, high = _entries_dated(period_from, period_to)
    if low is not None and low < start.size:
        start = checkpoints.filter(size__lte=low).last() or first
    if high is not None and high >= end.size:
        end = checkpoints.filter(size__gt=high).first() or newest
    return Cut(start=start, end=max(start, end, key=lambda checkpoint: checkpoint.size))


def of_sizes(start_size: int, end_size: int) -> Cut:
    """The cut that a report fixed earlier."""
    return Cut(
        start=Checkpoint.objects.get(size=start_size), end=Checkpoint.objects.get(size=end_size)
    )


def _entries_dated(period_from: datetime, period_to: datetime) -> tuple[int | None, int | None]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT min(l.seq), max(l.seq) FROM audit.event e
               JOIN audit.leaf l ON l.event_id = e.id WHERE e.at >= %s AND e.at < %s""",
            (period_from, period_to),
        )
        low, high = cursor.fetchone()
        return low, high
