"""Follows the database from beside the requests: hears what changed, and notices when it is gone.

One connection of its own listens; behind it stands a poll, so that a lost notification costs two
seconds. A database that does not answer is told as lost: a frozen one closes no connection.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from routing.services.health import UNHEALTHY_SQL
from routing.services.snapshots import REVISION_SQL

log = logging.getLogger(__name__)
T = TypeVar("T")

POLL_S = 2.0
ANSWER_S = 2.0
SNAPSHOT_CHANNEL = "signalbox_snapshot"
HOLD_CHANNEL = "signalbox_hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the database said just now."""

    revision: int
    unhealthy: frozenset[str]


class Silent(OSError):
    """The database did not answer in time."""


class Watch:
    def __init__(
        self,
        dsn: str,
        *,
        on_seen: Callable[[Seen], Awaitable[None]],
        on_lost: Callable[[], None],
        on_hold: Callable[[str], None],
    ) -> None:
        self._dsn = psycopg.conninfo.make_conninfo(dsn, application_name="signalbox-snapshot")
        self._on_seen = on_seen
        self._on_lost = on_lost
        self._on_hold = on_hold

    async def run(self) -> None:
        """Follow for ever; every way in which that can fail ends in another try."""
        pause = 0.2
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._dsn, autocommit=True, connect_timeout=3
                ) as connection:
                    await self._listen(connection)
                    pause = 0.2
                    while True:
                        await self._on_seen(await self._look(connection))
                        await self._hear(connection)
            except (psycopg.Error, OSError) as problem:
                log.warning("The database is lost: %s", problem)
            except Exception:
                log.exception("The snapshot could not be followed; trying again.")
            self._on_lost()
            await asyncio.sleep(pause)
            pause = min(pause * 2, POLL_S)

    async def _listen(self, connection: psycopg.AsyncConnection) -> None:
        for channel in (SNAPSHOT_CHANNEL, HOLD_CHANNEL):
            await in_time(connection, connection.execute(f"LISTEN {channel}"))

    async def _look(self, connection: psycopg.AsyncConnection) -> Seen:
        async def ask() -> Seen:
            revision = await (await connection.execute(REVISION_SQL)).fetchone()
            unhealthy = await (await connection.execute(UNHEALTHY_SQL)).fetchall()
            return Seen(
                revision=revision[0] if revision else 0,
                unhealthy=frozenset(name for (name,) in unhealthy),
            )

        return await in_time(connection, ask())

    async def _hear(self, connection: psycopg.AsyncConnection) -> None:
        """Wait for a notification, at most until the next look is due."""
        async for notice in connection.notifies(timeout=POLL_S, stop_after=1):
            if notice.channel == HOLD_CHANNEL:
                self._on_hold(notice.payload)


def break_off(connection: psycopg.AsyncConnection) -> None:
    """End a connection under whoever waits on it: they get an error, as if the line were cut."""
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


async def in_time(
    connection: psycopg.AsyncConnection, work: Awaitable[T], *, timeout_s: float = ANSWER_S
) -> T:
    """Await ``work`` on a connection, which is broken off when the answer takes too long.

    Cancelling would not do: psycopg then waits for the very server that does not answer.
    """
    task: asyncio.Future[Any] = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=timeout_s)
    if not done:
        break_off(connection)
        await asyncio.wait({task}, timeout=timeout_s)
        if not task.cancelled() and task.done():
            task.exception()
        raise Silent(f"no answer within {timeout_s:g} s")
    return task.result()  # type: ignore[no-any-return]
