"""Where in time the decisions are that a list looks for: the counts say it, nothing else is read.

A filter that fits one decision in a million, or none, would otherwise read the whole list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection

from audit.ids import first_id, time_of
from routing.models.traffic import Span
from routing.queries.traffic import DIMENSIONS, floor

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
# One index answers each of these by itself, in the order of the list.
_INDEXED: Final = ("route", "rule", "backend")
_BUSY: Final = {"outcome": ("served", "open"), "cause": ("rule_match",)}

_SLOTS: Final = """
SELECT slot, sum(n)::bigint FROM routing_traffic
WHERE span = %s AND slot = ANY(%s) AND n > 0 {only} GROUP BY slot ORDER BY slot DESC
"""
_DAYS: Final = """
SELECT slot, sum(n)::bigint FROM routing_traffic
WHERE span = %s AND slot >= %s AND slot <= %s AND n > 0 {only} GROUP BY slot ORDER BY slot DESC
"""
# The hours one by one, each by whatever index suits it, and those that have no end yet.
_IDS: Final = """
SELECT id FROM (
    SELECT d.id FROM unnest(%s::uuid[], %s::uuid[]) AS hour (lowest, below)
    CROSS JOIN LATERAL (
        SELECT id FROM routing_decision
        WHERE id >= hour.lowest AND id < hour.below {only} ORDER BY id DESC LIMIT %s
    ) d
    UNION
    SELECT id FROM routing_decision WHERE outcome = 'open' AND id >= %s AND id < %s {only}
) found ORDER BY id DESC LIMIT %s
"""


def may_narrow(only: Mapping[str, Sequence[str]]) -> bool:
    """Whether the counts know every one of these conditions, and no index answers them alone."""
    if not only or not set(only) <= set(DIMENSIONS):
        return False
    if len(only) > 1:
        return True
    ((name, values),) = only.items()
    if name in _INDEXED:
        return False
    return name not in _BUSY or bool(set(values) & set(_BUSY[name]))


def newest_ids(
    only: Mapping[str, Sequence[str]], *, lowest: UUID | None, below: UUID, wanted: int
) -> list[UUID]:
    """The ids of the newest decisions that fit, at most `wanted`, from lowest to below."""
    where = "".join(f" AND {name} = ANY(%s)" for name in only)
    values = [list(one) for one in only.values()]
    since = time_of(lowest) if lowest else _EVER
    until = time_of(below)
    days = _enough(
        _read(_DAYS.format(only=where), [Span.DAY, floor(since, DAY), until, *values]),
        beyond=floor(until, DAY),
        wanted=wanted,
    )
    in_them = [day + HOUR * n for day in days for n in range(24)]
    hours = _enough(
        _read(_SLOTS.format(only=where), [Span.HOUR, in_them, *values]),
        beyond=floor(until, HOUR),
        wanted=wanted,
    )
    lowest = lowest or UUID(int=0)
    starts = [max(first_id(hour), lowest) for hour in hours]
    ends = [min(first_id(hour + HOUR), below) for hour in hours]
    rows = _read(
        _IDS.format(only=where),
        [starts, ends, *values, wanted, lowest, below, *values, wanted],
    )
    return [row[0] for row in rows]


def _read(text: str, values: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.fetchall()


def _enough(
    counted: Sequence[tuple[datetime, int]], *, beyond: datetime, wanted: int
) -> list[datetime]:
    """The newest slots that together hold enough; of the one at the edge nobody knows how many."""
    taken: list[datetime] = []
    found = 0
    for slot, n in counted:
        if slot > beyond:
            continue
        taken.append(slot)
        found += n if slot < beyond else 0
        if found >= wanted:
            break
    return taken
