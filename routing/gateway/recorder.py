"""Makes decisions durable: one writer task, one connection, one statement a batch, no waiting time.

A caller puts sealed events and awaits their ticket. Batches form by themselves while the last one
commits. An event that overlaps a private call may linger a moment, so that a fast answer's terminal
event shares its commit. Nothing is dropped: a batch that failed is sent again with the same ids.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import LiteralString
from uuid import UUID

import psycopg

from audit import payloads, sealing
from routing.gateway.errors import ApiError
from routing.gateway.watch import break_off

log = logging.getLogger(__name__)

CAPACITY = 4096
BATCH = 256
LINGER_S = 0.002
COMMIT_TIMEOUT_S = 2.0
GIVE_UP_S = 8.0

# Only these say that the event is wrong. A full disk, a lost right or a server that has become
# read-only says nothing about it: it is written when that is over.
_EVENTS_OWN_FAULT = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.RaiseException)

Row = tuple[LiteralString, Mapping[str, object]]


class RecordUnavailable(ApiError):
    def __init__(self) -> None:
        super().__init__(
            "audit_unavailable",
            "The decision cannot be recorded now, so it is not carried out.",
            retry_after_s=2,
        )


@dataclass(slots=True, eq=False)
class Ticket:
    """One unit of a batch: events, and what must be written in the same commit.

    ``rows`` are statements with their parameters, safe to repeat.
    """

    events: Sequence[sealing.SealedEvent]
    payloads: Sequence[payloads.SealedPayload] = ()
    rows: Sequence[Row] = ()
    put_at: float = field(default_factory=monotonic)
    done: asyncio.Future[None] | None = None
    durable_at: float = 0.0


class Recorder:
    def __init__(self, dsn: str, *, capacity: int = CAPACITY) -> None:
        self._dsn = dsn
        self._capacity = capacity
        self._queue: deque[Ticket] = deque()
        self._wake = asyncio.Event()
        self._is_urgent = False
        self._connection: psycopg.AsyncConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_failing = False
        # Told from outside that the database may be gone: nothing is decided until it is known.
        self._is_suspect = False
        self._is_stopping = False
        self._began = 0.0
        self.batches = 0
        self.written = 0
        self.failures = 0

    @property
    def depth(self) -> int:
        return len(self._queue)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="recorder")

    async def stop(self) -> None:
        """Write what is queued, then close; called after the last request has ended."""
        self._is_stopping = True
        self._hurry()
        if self._task:
            await asyncio.wait({self._task}, timeout=COMMIT_TIMEOUT_S)
            self._task.cancel()
        if self._timer:
            self._timer.cancel()
        if self._connection:
            await self._connection.close()

    @property
    def can_record(self) -> bool:
        return not (self._is_failing or self._is_suspect or len(self._queue) >= self._capacity)

    def check(self) -> None:
        """Raise 503 before a decision is numbered, when it could not be recorded anyway."""
        if not self.can_record:
            raise RecordUnavailable

    def suspect(self) -> None:
        """The database may be gone: see whether it is before the next decision."""
        self._is_suspect = True
        self._hurry()

    def put(
        self,
        *events: sealing.SealedEvent,
        payloads: Sequence[payloads.SealedPayload] = (),
        rows: Sequence[Row] = (),
        may_linger: bool = False,
    ) -> Ticket:
        """Queue events; the returned ticket is durable once ``durable`` returns."""
        ticket = Ticket(events, payloads, rows)
        self._queue.append(ticket)
        if may_linger and len(self._queue) < BATCH:
            self._wake.set()
        else:
            self._hurry()
        return ticket

    async def durable(self, ticket: Ticket) -> None:
        """Return when the ticket is committed; raise 503 when that takes too long."""
        if ticket.done is None:
            ticket.done = asyncio.get_running_loop().create_future()
            self._hurry()
        # Who waits too long is told by _release_waiters: one timer a batch, not one a request.
        await ticket.done

    def _hurry(self) -> None:
        self._is_urgent = True
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if not self._is_urgent and self._queue:
                await self._linger()
            self._wake.clear()
            self._is_urgent = False
            while self._queue:
                batch = [self._queue[i] for i in range(min(BATCH, len(self._queue)))]
                await self._write_watched(batch)
                for ticket in batch:
                    self._queue.popleft()
                    self._settle(ticket, None)
            if self._is_suspect and not self._is_stopping:
                await self._write_watched([])
            if self._is_stopping:
                return

    async def _write_watched(self, batch: Sequence[Ticket]) -> None:
        """Write a batch; an empty one only asks whether the database is there."""
        loop = asyncio.get_running_loop()
        self._began = monotonic()
        self._timer = loop.call_later(COMMIT_TIMEOUT_S, self._release_waiters)
        await self._write_until_done(batch)
        self._timer.cancel()

    def _release_waiters(self) -> None:
        """Answer 503 to those who waited too long; their events stay queued and get written."""
        now = monotonic()
        # A database that hangs breaks no connection: until it answers, no more is decided.
        self._is_suspect = True
        if now - self._began > GIVE_UP_S and self._connection is not None:
            # Nothing more will come of this connection; another one is asked the same again.
            self._began = now
            with suppress(OSError, psycopg.Error):
                break_off(self._connection)
        for ticket in self._queue:
            if ticket.done is not None and now - ticket.put_at >= COMMIT_TIMEOUT_S:
                self._settle(ticket, RecordUnavailable())
        self._timer = asyncio.get_running_loop().call_later(
            COMMIT_TIMEOUT_S / 4, self._release_waiters
        )

    @staticmethod
    def _settle(ticket: Ticket, problem: Exception | None) -> None:
        if ticket.done is None:
            ticket.done = asyncio.get_running_loop().create_future()
        if ticket.done.done():
            return
        if problem is None:
            ticket.durable_at = monotonic()
            ticket.done.set_result(None)
        else:
            ticket.done.set_exception(problem)
            ticket.done.exception()  # looked at: nobody may be waiting, and that is no accident

    async def _linger(self) -> None:
        waited = monotonic() - self._queue[0].put_at
        self._wake.clear()
        if waited < LINGER_S and not self._is_urgent:
            try:
                async with asyncio.timeout(LINGER_S - waited):
                    while not self._is_urgent:
                        await self._wake.wait()
                        if not self._is_urgent:
                            self._wake.clear()
            except TimeoutError:
                pass

    async def _write_until_done(self, batch: Sequence[Ticket]) -> None:
        pause = 0.05
        while True:
            try:
                await self._write(batch)
            except _EVENTS_OWN_FAULT as problem:
                if len(batch) > 1:
                    # One event that the database refuses must not take its neighbours with it.
                    for ticket in batch:
                        await self._write_until_done([ticket])
                elif batch:
                    self.failures += 1
                    log.exception("The database refused an event.")
                    error = RecordUnavailable().with_traceback(problem.__traceback__)
                    self._settle(batch[0], error)
                    if all(event.kind == sealing.WITHHELD for event in batch[0].events):
                        return
                    batch = [_instead(batch[0].events, "refused")]
                    continue
                return
            except Exception as problem:
                # Whatever it is: nothing is given up, and nobody writes in this task's place.
                if not self._is_failing:
                    is_known = isinstance(problem, (psycopg.Error, OSError))
                    log.error("Recording stopped: %s", problem, exc_info=not is_known)
                self._is_failing = True
                self.failures += 1
                await self._drop_connection()
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
            else:
                if self._is_failing:
                    log.info("Recording goes on.")
                self._is_failing = self._is_suspect = False
                return

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self._dsn, autocommit=True, prepare_threshold=1, connect_timeout=3
            )
        return self._connection

    async def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close()
            except psycopg.Error:
                log.debug("The broken connection did not close cleanly.")

    async def _write(self, batch: Sequence[Ticket]) -> None:
        connection = await self._connected()
        events = [event for ticket in batch for event in ticket.events]
        extras = [ticket for ticket in batch if ticket.rows or ticket.payloads]
        parameters = sealing.batch_parameters(events)
        if not extras:
            stored = await connection.execute(sealing.BATCH_SQL, parameters)
        else:
            async with connection.transaction():
                stored = await connection.execute(sealing.BATCH_SQL, parameters)
                await payloads.insert_all(
                    connection, [payload for ticket in extras for payload in ticket.payloads]
                )
                for ticket in extras:
                    for statement, values in ticket.rows:
                        await connection.execute(statement, values)
        if stored.rowcount != len(events):
            await self._tell_the_late(
                connection, batch, {row[0] for row in await stored.fetchall()}
            )
        self.batches += 1
        self.written += len(events)

    async def _tell_the_late(
        self, connection: psycopg.AsyncConnection, batch: Sequence[Ticket], stored: set[UUID]
    ) -> None:
        """Some ids were there before: from our own retry, or because the reaper was first."""
        missing = [e for ticket in batch for e in ticket.events if e.id not in stored]
        cursor = await connection.execute(sealing.STORED_SQL, ([event.id for event in missing],))
        leaves = {event_id: bytes(leaf) for event_id, leaf in await cursor.fetchall()}
        for ticket in batch:
            late = [e for e in ticket.events if leaves.get(e.id, e.leaf) != e.leaf]
            if late:
                # Nothing may be answered whose end is recorded otherwise.
                names = [str(event.id) for event in late]
                log.error("An event came after another end of its decision: %s", names)
                self._settle(ticket, RecordUnavailable())
                instead = _instead(late, "late").events
                await connection.execute(sealing.BATCH_SQL, sealing.batch_parameters(instead))


def _instead(events: Sequence[sealing.SealedEvent], why: str) -> Ticket:
    """Uses the numbers of what cannot be stored, so that no reader takes them for removed."""
    return Ticket([sealing.withheld(event, why) for event in events])
