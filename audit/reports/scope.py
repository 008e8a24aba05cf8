"""What one report is about, and what is known of the time before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import orjson
from django.db import connection

from audit.notes import stamp
from audit.reports.cut import Cut

MOST_EARLIER: Final = 1000
INTO_FORCE: Final = ("policy.activated", "policy.rolled_back", "policy.promoted", "shadow.promoted")
# What may stand since long before the period.
STANDING: Final = (
    *INTO_FORCE, "backend.changed", "backend.registered", "data_flow.issued", "signoff.expired",
    "signoff.granted", "signoff.revoked",
)  # fmt: skip
_TYPES: Final = ("policy_version", "signoff", "shadow", "promotion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An entry from before the start checkpoint that the report leans on."""

    seq: int
    body: bytes
    entry: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Everything that a report may depend on: the same scope gives the same bytes."""

    period_from: datetime
    period_to: datetime
    cut: Cut
    origin: str
    key_id: str
    seed: str = ""
    earlier: tuple[Earlier, ...] = field(default=())

    @property
    def period(self) -> tuple[str, str]:
        return stamp(self.period_from), stamp(self.period_to)

    @property
    def is_over(self) -> bool:
        return self.cut.end.at >= self.period_to

    @property
    def sample_seed(self) -> str:
        """The auditor's own, or the last root: nobody could choose it before the period ended."""
        return self.seed or bytes(self.cut.end.root).hex()

    @property
    def report_id(self) -> str:
        parts = (self.origin, *self.period, self.cut.start.size, self.cut.end.size, self.seed)
        return "SBR-" + sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]


_BY_KIND = """
    SELECT l.seq, e.body FROM (
        SELECT id, body FROM audit.event WHERE kind = ANY(%s) AND at < %s
        ORDER BY at DESC, id DESC LIMIT %s
    ) e JOIN audit.leaf l ON l.event_id = e.id WHERE l.seq < %s ORDER BY l.seq
"""
# These conditions are those of the index by object, so that the planner may use it.
_NOT_BULK = "substr(e.id::text, 15, 1) = '7' AND e.kind <> 'decision.made'"
_OBJECTS = f"""
    SELECT DISTINCT e.object_id FROM audit.event e
    WHERE e.object_type = ANY(%s) AND {_NOT_BULK} AND e.at >= %s AND e.at <= %s LIMIT %s
"""  # noqa: S608 - a constant
_BY_OBJECT = f"""
    SELECT l.seq, e.body FROM audit.event e JOIN audit.leaf l ON l.event_id = e.id
    WHERE e.object_type = ANY(%s) AND e.object_id = ANY(%s) AND {_NOT_BULK} AND l.seq < %s
    ORDER BY l.seq LIMIT %s
"""  # noqa: S608 - a constant


def earlier_of(cut: Cut) -> tuple[Earlier, ...]:
    """What was recorded before the start checkpoint and still counts in it; oldest first.

    The last activation of every route, sign-offs that had not ended, the backends' changes, the
    last data-flow document, and everything about the versions and sign-offs that the bundle names.
    """
    if not cut.start.size:
        return ()
    start = cut.start
    standing = _still_standing(_read(_BY_KIND, (list(STANDING), start.at, 5000, start.size)))
    with connection.cursor() as cursor:
        types = list(_TYPES)
        cursor.execute(_OBJECTS, (types, start.at, cut.end.at, MOST_EARLIER))
        named = {row[0] for row in cursor.fetchall()}
    named |= {one.entry["object"]["id"] for one in standing if one.entry["kind"] in INTO_FORCE}
    about = _read(_BY_OBJECT, (types, sorted(named), start.size, MOST_EARLIER))
    merged = {one.seq: one for one in (*standing, *about)}
    return tuple(merged[seq] for seq in sorted(merged))[-MOST_EARLIER:]


def _still_standing(found: Iterable[Earlier]) -> list[Earlier]:
    last: dict[str, Earlier] = {}
    others: list[Earlier] = []
    for one in found:
        kind, thing = one.entry["kind"], str(one.entry["object"]["id"])
        if kind in INTO_FORCE:
            last["route " + str(one.entry["details"].get("route") or thing)] = one
        elif kind == "data_flow.issued":
            last["document"] = one
        elif kind == "signoff.granted":
            last["sign-off " + thing] = one
        elif kind.startswith("signoff."):
            last.pop("sign-off " + thing, None)
        else:
            others.append(one)
    return [*last.values(), *others]


def _read(sql: str, parameters: tuple[Any, ...]) -> Iterator[Earlier]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        for seq, body in cursor.fetchall():
            raw = bytes(body)
            yield Earlier(seq=seq, body=raw, entry=orjson.loads(raw))
