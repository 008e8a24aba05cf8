"""Recording on a real database: durable, in batches, never twice, and loud when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest

from audit import payloads, sealing
from audit.actors import SYSTEM
from audit.ids import uuid7
from routing.gateway.application import dsn_of
from routing.gateway.recorder import Recorder, RecordUnavailable

ROUTER = SYSTEM("router")


@pytest.fixture
def dsn(django_db_setup: None) -> str:
    from django.db import connections

    return dsn_of(connections["default"].settings_dict)


@pytest.fixture
async def recorder(dsn: str) -> AsyncIterator[Recorder]:
    started = Recorder(dsn)
    started.start()
    yield started
    await started.stop()


@pytest.fixture
def writer() -> sealing.Writer:
    return sealing.Writer("test.example/log", name="test")


def made(writer: sealing.Writer, decision_id: UUID) -> sealing.SealedEvent:
    return writer.seal(
        "decision.made",
        actor=ROUTER,
        object=("route", "support"),
        event_id=decision_id,
        decision_id=decision_id,
    )


def ended(writer: sealing.Writer, decision_id: UUID) -> sealing.SealedEvent:
    return writer.seal(
        "decision.completed", actor=ROUTER, object=("route", "support"), decision_id=decision_id
    )


async def stored(dsn: str, decision_id: UUID) -> list[str]:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        rows = await connection.execute(
            "SELECT kind FROM audit.event WHERE decision_id = %s ORDER BY at", (decision_id,)
        )
        return [kind for (kind,) in await rows.fetchall()]


async def numbers(dsn: str, writer: sealing.Writer) -> list[int]:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        rows = await connection.execute("SELECT body FROM audit.event")
        found = [orjson.loads(bytes(body))["writer"] for (body,) in await rows.fetchall()]
        return sorted(one["n"] for one in found if one["id"] == writer.id)


async def test_an_awaited_ticket_is_in_the_database(
    recorder: Recorder, writer: sealing.Writer, dsn: str
) -> None:
    decision_id = uuid7()

    await recorder.durable(recorder.put(made(writer, decision_id)))

    assert await stored(dsn, decision_id) == ["decision.made"]


async def test_a_lingering_event_shares_the_commit_of_its_end(
    recorder: Recorder, writer: sealing.Writer, dsn: str
) -> None:
    decision_id = uuid7()
    recorder.put(made(writer, decision_id), may_linger=True)

    await recorder.durable(recorder.put(ended(writer, decision_id)))

    assert await stored(dsn, decision_id) == ["decision.made", "decision.completed"]
    assert recorder.batches == 1


async def test_a_lingering_event_is_written_even_when_nobody_waits(
    recorder: Recorder, writer: sealing.Writer, dsn: str
) -> None:
    decision_id = uuid7()

    ticket = recorder.put(made(writer, decision_id), may_linger=True)
    await asyncio.sleep(0.1)

    assert ticket.done is not None
    assert ticket.done.done()
    assert await stored(dsn, decision_id) == ["decision.made"]


async def test_a_thousand_events_take_few_commits(
    recorder: Recorder, writer: sealing.Writer
) -> None:
    tickets = [recorder.put(made(writer, uuid7())) for _ in range(1000)]

    await asyncio.gather(*(recorder.durable(ticket) for ticket in tickets))

    assert recorder.written == 1000
    assert recorder.batches <= 10


async def test_a_second_end_is_not_stored_and_its_request_is_not_answered(
    recorder: Recorder, writer: sealing.Writer, dsn: str
) -> None:
    decision_id = uuid7()
    await recorder.durable(recorder.put(made(writer, decision_id), ended(writer, decision_id)))

    late = writer.seal(
        "decision.failed", actor=ROUTER, object=("route", "support"), decision_id=decision_id
    )
    with pytest.raises(RecordUnavailable):
        await recorder.durable(recorder.put(late))

    kinds = ["decision.made", "decision.completed", "log.event_withheld"]
    assert await stored(dsn, decision_id) == kinds
    assert await numbers(dsn, writer) == [1, 2, 3]


def test_what_stands_instead_of_an_event_is_the_same_each_time() -> None:
    event = made(sealing.Writer("test.example/log", name="test"), uuid7())

    assert sealing.withheld(event, "late") == sealing.withheld(event, "late")
    assert sealing.withheld(event, "late").id != event.id


async def test_an_event_that_is_sent_again_after_a_lost_reply_counts_as_stored(
    recorder: Recorder, writer: sealing.Writer, dsn: str
) -> None:
    event = made(writer, uuid7())
    await recorder.durable(recorder.put(event))

    await recorder.durable(recorder.put(event))

    assert await stored(dsn, event.id) == ["decision.made"]


async def test_a_text_is_stored_in_the_commit_of_its_decision(
    recorder: Recorder, writer: sealing.Writer, dsn: str
) -> None:
    decision_id, key = uuid7(), bytes(32)
    sealed = payloads.seal(b"hello", decision_id=decision_id, kind="request", key=key)

    await recorder.durable(recorder.put(made(writer, decision_id), payloads=[sealed]))

    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        rows = await connection.execute(
            "SELECT ciphertext FROM audit.payload WHERE id = %s", (sealed.id,)
        )
        assert (await rows.fetchone())[0] == sealed.ciphertext  # type: ignore[index]


async def test_an_event_that_the_database_refuses_does_not_take_its_neighbours_with_it(
    recorder: Recorder, writer: sealing.Writer, dsn: str
) -> None:
    good, bad = uuid7(), uuid7()
    forged = made(writer, bad)._replace(leaf=bytes(32))

    tickets = [recorder.put(forged), recorder.put(made(writer, good))]
    results: list[Any] = await asyncio.gather(
        *(recorder.durable(ticket) for ticket in tickets), return_exceptions=True
    )

    assert isinstance(results[0], RecordUnavailable)
    assert results[1] is None
    assert await stored(dsn, good) == ["decision.made"]
    # Its number is used all the same, or an auditor would take it for removed.
    assert await stored(dsn, bad) == ["log.event_withheld"]
    assert await numbers(dsn, writer) == [1, 2]


async def test_a_broken_connection_is_replaced_and_nothing_is_written_twice(
    recorder: Recorder, writer: sealing.Writer, dsn: str
) -> None:
    await recorder.durable(recorder.put(made(writer, uuid7())))
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND application_name = 'signalbox-gateway'"
        )
        decision_id = uuid7()

    await recorder.durable(recorder.put(made(writer, decision_id)))

    assert await stored(dsn, decision_id) == ["decision.made"]


async def test_without_a_database_a_decision_is_refused_before_it_is_numbered(
    writer: sealing.Writer, unused_tcp_port: int
) -> None:
    recorder = Recorder(f"host=127.0.0.1 port={unused_tcp_port} dbname=none")
    recorder.start()
    with pytest.raises(RecordUnavailable):
        await recorder.durable(recorder.put(made(writer, uuid7())))

    with pytest.raises(RecordUnavailable) as refused:
        recorder.check()
    await recorder.stop()

    assert (refused.value.status, refused.value.code) == (503, "audit_unavailable")


async def test_a_full_queue_refuses(writer: sealing.Writer, dsn: str) -> None:
    recorder = Recorder(dsn, capacity=1)
    recorder.put(made(writer, uuid7()))

    with pytest.raises(RecordUnavailable):
        recorder.check()
