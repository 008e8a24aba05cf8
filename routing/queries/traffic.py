"""Counts, costs and speeds of a period, from the roll-ups; nothing here reads ended decisions.

A period is laid out in whole days, hours and five minutes, so any of them is a few hundred rows.
Only decisions without an end yet are read themselves: they are few, and an index finds them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection

from routing.models.traffic import Span

FIVE_MINUTES: Final = timedelta(minutes=5)
# Slots of five minutes are dropped after so long; older periods begin at a whole hour.
FIVE_MINUTES_KEPT: Final = timedelta(days=15)
DIMENSIONS: Final = (
    "route", "policy", "rule", "cause", "action", "outcome", "tier", "backend", "boundary",
    "data_class",
)  # fmt: skip
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTHS: Final = {span: timedelta(minutes=span.value) for span in reversed(Span)}


def floor(moment: datetime, length: timedelta) -> datetime:
    return _EPOCH + (moment - _EPOCH) // length * length


def begins(since: datetime, now: datetime) -> datetime:
    """Where a period that should begin at `since` begins in the roll-ups: a little earlier."""
    is_recent = now - since < FIVE_MINUTES_KEPT
    return floor(since, FIVE_MINUTES if is_recent else _LENGTHS[Span.HOUR])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Slots of one length, from and below."""

    span: Span
    since: datetime
    below: datetime


def stretches(since: datetime, below: datetime, spans: Iterable[Span] = Span) -> list[Stretch]:
    """A period as few slots: days in the middle, then hours, then five minutes at the edges.

    Both ends are expected on the smallest slot; what overhangs is left out.
    """
    found: list[Stretch] = []
    open_ones = [(since, below)]
    for span in sorted(spans, reverse=True):
        length = _LENGTHS[span]
        left: list[tuple[datetime, datetime]] = []
        for start, end in open_ones:
            first, last = _ceil(start, length), floor(end, length)
            if first >= last:
                left.append((start, end))
                continue
            found.append(Stretch(span=span, since=first, below=last))
            left += [(start, first), (last, end)]
        open_ones = [(start, end) for start, end in left if start < end]
    return found


def _ceil(moment: datetime, length: timedelta) -> datetime:
    lower = floor(moment, length)
    return lower if lower == moment else lower + length


def _in(laid: Sequence[Stretch]) -> tuple[str, list[Any]]:
    if not laid:
        return "false", []
    parts = ["(span = %s AND slot >= %s AND slot < %s)"] * len(laid)
    return " OR ".join(parts), [
        value for one in laid for value in (one.span.value, one.since, one.below)
    ]


def _where(only: Mapping[str, str | Sequence[str]]) -> tuple[str, list[Any]]:
    """Conditions on dimensions; their names are checked, their values are parameters."""
    unknown = set(only) - set(DIMENSIONS)
    if unknown:
        raise ValueError(f"not counted by {', '.join(sorted(unknown))}")
    values = [[v] if isinstance(v, str) else list(v) for v in only.values()]
    return "".join(f" AND {name} = ANY(%s)" for name in only), list(values)


_COUNTED: Final = """
SELECT {head} sum(n) AS n, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
       sum(cost_usd) AS cost_usd, sum(compared_cost_usd) AS compared_cost_usd,
       sum(baseline_cost_usd) AS baseline_cost_usd, max(last_at) AS last_at
FROM (
    SELECT slot, {dimensions}, n, input_tokens, output_tokens, cost_usd, compared_cost_usd,
           baseline_cost_usd, last_at
    FROM routing_traffic WHERE ({slots}) AND n <> 0 {only}
    UNION ALL
    SELECT at, {dimensions}, 1, 0, 0, 0, 0, 0, at
    FROM routing_decision WHERE outcome = 'open' AND at >= %s AND at < %s {only}
) t {tail}
"""


def counted(
    since: datetime,
    below: datetime,
    *,
    by: Sequence[str] = (),
    only: Mapping[str, str | Sequence[str]] | None = None,
    every: timedelta | None = None,
) -> list[dict[str, Any]]:
    """Sums of the decisions that began in a period, by dimensions and, if wanted, by slot.

    Rows of `by` and of the sums; with `every` (an hour, say) also `slot`, the start of each.
    """
    where, only_values = _where(only or {})
    unknown = set(by) - set(DIMENSIONS)
    if unknown:
        raise ValueError(f"not counted by {', '.join(sorted(unknown))}")
    spans = [span for span in Span if every is None or _LENGTHS[span] <= every]
    slots, slot_values = _in(stretches(since, _ceil(below, FIVE_MINUTES), spans))
    names = list(by)
    head = "".join(f"{name}, " for name in names)
    values: list[Any] = []
    if every is not None:
        head = "date_bin(%s, slot, 'epoch') AS slot, " + head
        values.append(every)
        names.append("1")
    text = _COUNTED.format(
        head=head,
        dimensions=", ".join(DIMENSIONS),
        slots=slots,
        only=where,
        tail=f"GROUP BY {', '.join(names)}" if names else "",
    )
    values += [*slot_values, *only_values, since, below, *only_values]
    return _rows(text, values)


def _rows(text: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


# speeds

_SPEEDS: Final = """
SELECT {head} class - 1 AS class, sum(n) AS n
FROM routing_speed, unnest(counts) WITH ORDINALITY AS u (n, class)
WHERE ({slots}) AND measure = ANY(%s) AND n <> 0 {only}
GROUP BY {names} class ORDER BY class
"""


@dataclass(frozen=True, slots=True)
class Distribution:
    """How many requests fell into each class of speed; class k ends at 2^(k/4) of its unit."""

    counts: Mapping[int, int]

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    def quantile(self, share: float) -> float | None:
        """Interpolated inside its class: off by the class's width, 19 %, at the very most."""
        total = self.n
        if total <= 0:
            return None
        rank, before = share * total, 0
        for number, count in sorted(self.counts.items()):
            if count > 0 and before + count >= rank:
                low, high = _ends(number)
                return low + (high - low) * max(0.0, rank - before) / count
            before += count
        return None


def _ends(number: int) -> tuple[float, float]:
    low = 0.0 if number == 0 else math.pow(2, (number - 1) / 4)
    return low, low if number > 80 else math.pow(2, number / 4)


def speeds(
    measure: str | Sequence[str],
    since: datetime,
    below: datetime,
    *,
    by: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
    every: timedelta | None = None,
) -> dict[tuple[Any, ...], Distribution]:
    """The distribution of a measure, by route or backend, and by slot when `every` is given.

    Keys are tuples: the slot first if there is one, then the names of `by`; of several measures
    each has its own, named last.
    """
    is_one = isinstance(measure, str)
    names = [*by, *([] if is_one else ["measure"])]
    if not {*by, *(only or {})} <= {"route", "backend"}:
        raise ValueError("speeds are kept by route and backend only")
    spans = [
        span for span in (Span.FIVE_MINUTES, Span.HOUR) if not every or _LENGTHS[span] <= every
    ]
    slots, slot_values = _in(stretches(since, _ceil(below, FIVE_MINUTES), spans))
    head = "".join(f"{name}, " for name in names)
    grouped = head
    values: list[Any] = []
    if every is not None:
        head, grouped = "date_bin(%s, slot, 'epoch') AS slot, " + head, "1, " + head
        values.append(every)
    where = "".join(f" AND {name} = %s" for name in only or {})
    # Sums stand under '*'; where a route is asked for, its backends are added up here.
    wanted = {*by, *(only or {})}
    where += " AND route <> '*'" if "route" in wanted else " AND route = '*'"
    where += " AND backend <> '*'" if wanted else " AND backend = '*'"
    found: dict[tuple[Any, ...], dict[int, int]] = {}
    text = _SPEEDS.format(head=head, slots=slots, only=where, names=grouped)
    for row in _rows(
        text,
        [*values, *slot_values, [measure] if is_one else list(measure), *(only or {}).values()],
    ):
        key = tuple(row[name] for name in (["slot"] if every else []) + names)
        found.setdefault(key, {})[row["class"]] = row["n"]
    return {key: Distribution(counts) for key, counts in found.items()}
