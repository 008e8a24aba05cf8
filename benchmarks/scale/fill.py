"""Fills the product's real tables fast: a month of decisions and events with a day's rhythm.

Rows are made inside PostgreSQL, into the product's tables and past their checks. Indexes are built
once the rows are there, and counts by the product's own recount: the same as its triggers make, in
minutes instead of hours. Left out: the Merkle tree over the events (no screen here reads it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final
from uuid import UUID

from django.db import connection, connections, transaction

from audit.actors import Actor
from audit.sealing import Writer

PERIOD: Final = timedelta(days=30)
CHUNK: Final = 50_000
ROUTES: Final = tuple(f"route-{n:02}" for n in range(12))
BACKENDS: Final = {
    "slm-inside": ("slm", "private"),
    "slm-second": ("slm", "private"),
    "llm-inside": ("llm", "private"),
    "llm-cloud": ("llm", "public"),
}
CLIENTS: Final = 40
PEOPLE: Final = ("olivia", "arjun", "petra", "rui", "ada")
_MARK: Final = UUID("01234567-89ab-7cde-8f01-23456789abcd")
_ROWS: Final = Path(__file__).with_name("rows")
_AT: Final = datetime(2000, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def _statement(name: str) -> str:
    times = (_ROWS / "times.sql").read_text()
    return (_ROWS / f"{name}.sql").read_text().replace("%TIMES%", times)


def _template(kind: str, details: dict[str, Any], **more: Any) -> str:
    """The exact text of a real entry, with marks where each row differs."""
    sealed = Writer("scale.example/log", name="scale").seal(
        kind, actor=Actor("api_key", "key", "client"), details=details, **more
    )
    return sealed.body.decode()


def _templates() -> dict[str, str]:
    rules = [
        {
            "rule": f"rule-{n}",
            "result": "no match",
            "compared": [{"signal": "prompt_tokens", "is": 110, "op": "gte", "value": 400 * n}],
        }
        for n in range(6)
    ]
    common: dict[str, Any] = {"object": ("route", "route-01"), "decision_id": _MARK}
    decision = {"rule": "narrow-work", "sentence": "Sent to slm-inside.", "trace": rules}
    stamp = {"received_at": _AT.isoformat(), "route": "route-01", "policy": "route-01@1"}
    return {
        "made": _template("decision.made", stamp | {"decision": decision}, **common),
        "ended": _template(
            "decision.completed", {"backend": "slm-inside", "total_ms": 310}, **common
        ),
        "act": _template("policy.edited", {}, object=("policy_version", "route-01@1")),
        "mark": str(_MARK),
        "mark_at": _AT.isoformat(),
    }


def prepare() -> None:
    """Months for the whole period, as an installation has them that ran that long."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT routing_ensure_partitions(3, now() - %s)", [PERIOD])


def fill(*, decisions: int, events: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Add so many decisions and events, spread over the whole period; returns rows a second."""
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - PERIOD
    values: dict[str, Any] = _templates() | {"start": start}
    acts = min(events, max(2000, events // 1000))
    with _in_bulk("routing_decision", tell, counted=True):
        speeds = {"decisions": _day_by_day("decisions", decisions, values, tell)}
    with _in_bulk("audit.event", tell):
        speeds["acts"] = _day_by_day("acts", acts, values, tell)
        # A statement makes two events of each of its rows.
        speeds["events"] = 2 * _day_by_day("events", (events - acts) // 2, values, tell)
    with connections["owner"].cursor() as cursor:
        for table in ("routing_decision", "routing_traffic", "routing_speed", "audit.event"):
            cursor.execute(f"VACUUM (ANALYZE) {table}")
    return speeds


@contextmanager
def _in_bulk(table: str, tell: Callable[[str], None], *, counted: bool = False) -> Iterator[None]:
    """Without indexes and counts while rows come; then the same indexes, and a recount."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            """SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
               WHERE indrelid = %s::regclass AND NOT indisprimary AND NOT indisunique""",
            [table],
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        if counted:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        began = monotonic()
        cursor.execute("SET maintenance_work_mem = '512MB'")
        for _, definition in indexes:
            cursor.execute(definition.replace(" ON ONLY ", " ON "))
        tell(f"{len(indexes)} indexes of {table} in {monotonic() - began:,.0f} s")
        if counted:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            began = monotonic()
            cursor.execute("SELECT routing_recount()")
            tell(f"counted {cursor.fetchone()[0]:,} decisions in {monotonic() - began:,.0f} s")


def _day_by_day(what: str, rows: int, values: dict[str, Any], tell: Callable[[str], None]) -> float:
    """One day after the other, each in the order of its time: as an installation grows."""
    statement = _statement(what)
    began = monotonic()
    done = 0
    with connection.cursor() as cursor:
        for day in range(PERIOD.days):
            share = rows * (day + 1) // PERIOD.days - done
            start = values["start"] + timedelta(days=day)
            cursor.execute(statement, values | {"start": start, "days": 1, "rows": share})
            done += share
            if done // 1_000_000 > (done - share) // 1_000_000:
                tell(f"{done:,} rows for {what}, {done / (monotonic() - began):,.0f} a second")
    return rows / (monotonic() - began) if rows else 0.0


def sizes() -> dict[str, int]:
    """Bytes of the tables with their indexes."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT t.name, coalesce(sum(pg_total_relation_size(p.relid)), 0)::bigint
               FROM unnest(ARRAY['routing_decision', 'routing_traffic', 'routing_speed',
                   'audit.event']) AS t (name)
               CROSS JOIN LATERAL pg_partition_tree(t.name::regclass) p GROUP BY t.name"""
        )
        found = dict(cursor.fetchall())
        for name in ("routing_traffic", "routing_speed"):
            cursor.execute("SELECT pg_total_relation_size(%s)", [name])
            found[name] = cursor.fetchone()[0]
        return {name: int(size) for name, size in found.items()}


def speed_one_by_one(rows: int = CHUNK) -> float:
    """Rows a second into the list as traffic writes it, by all indexes and triggers; undone."""
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    owner = connections["owner"]
    with transaction.atomic(using="owner"), owner.cursor() as cursor:
        began = monotonic()
        cursor.execute(_statement("decisions"), {"start": start, "days": 1, "rows": rows})
        taken = monotonic() - began
        transaction.set_rollback(True, using="owner")
    return rows / taken
