"""What one running replica holds: snapshot, adapters, breakers, health, and how it keeps them.

A new snapshot is built, compiled and warmed before it is swapped in; the old one serves meanwhile.
Requests in flight keep the one they began with.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import orjson
import psycopg
from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections

from routing.adapters.egress import Guard
from routing.adapters.openai_compatible import OpenAICompatible
from routing.engine.types import BackendFacts
from routing.gateway.breaker import Breaker, RetryBudget
from routing.gateway.caps import HoldCaps
from routing.gateway.latencies import Latencies
from routing.gateway.scoring import Scoring
from routing.gateway.sessions import Sessions
from routing.gateway.snapshot import ClientKey, Snapshot, compile_snapshot
from routing.services import health, secrets, snapshots

log = logging.getLogger(__name__)
T = TypeVar("T")

POLL_S = 2.0
SNAPSHOT_CHANNEL = "signalbox_snapshot"
HOLD_CHANNEL = "signalbox_hold"


def _with_fresh_connection(work: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return work()
    finally:
        close_old_connections()


async def in_thread(work: Callable[[], T]) -> T:
    """Run ORM work beside the loop. Never for a request that is only routed: that needs none."""
    return await sync_to_async(_with_fresh_connection, thread_sensitive=False)(work)


class Replica:
    def __init__(self, *, dsn: str, file: Path, guard: Guard) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self.started_at = datetime.now(UTC)
        self.snapshot: Snapshot | None = None
        self.on_hold_answered: Callable[[str], None] = lambda _: None
        self._dsn = dsn
        self._file = file
        self._guard = guard
        self._adapters: dict[str, OpenAICompatible] = {}
        self._made_from: dict[str, tuple[str, str, int]] = {}
        self._breakers: dict[str, Breaker] = {}
        self._retries: dict[str, RetryBudget] = {}
        self._unhealthy: frozenset[str] = frozenset()
        self._facts: dict[tuple[str, ...], dict[str, BackendFacts]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self.hold_caps = HoldCaps()
        self.latencies = Latencies()
        self.sessions = Sessions()
        self.scoring = Scoring()

    async def start(self) -> None:
        """Load a snapshot from the database, or from disk when there is none; then follow."""
        if not await self._refresh():
            self._load_from_disk()
        self._tasks = [
            asyncio.create_task(self._follow(), name="snapshot"),
            asyncio.create_task(self._listen(), name="listen"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for adapter in self._adapters.values():
            await adapter.close()

    def adapter(self, name: str) -> OpenAICompatible:
        return self._adapters[name]

    def breaker(self, name: str) -> Breaker:
        found = self._breakers.get(name)
        if found is None:
            found = self._breakers[name] = Breaker()
        return found

    def breakers(self) -> Collection[Breaker]:
        return self._breakers.values()

    def retries(self, name: str) -> RetryBudget:
        found = self._retries.get(name)
        if found is None:
            found = self._retries[name] = RetryBudget()
        return found

    def backend_facts(self, snapshot: Snapshot, key: ClientKey) -> dict[str, BackendFacts]:
        """The engine's view of every backend now: registered facts, health, breaker."""
        now = monotonic()
        cooling = tuple(sorted(n for n, b in self._breakers.items() if b.is_open(now)))
        cache_key = (snapshot.digest, *cooling, "|", *sorted(self._unhealthy))
        facts = self._facts.get(cache_key)
        if facts is None:
            facts = {
                name: replace(b.facts, healthy=name not in self._unhealthy, cooling=name in cooling)
                for name, b in snapshot.backends.items()
            }
            if len(self._facts) > 64:
                self._facts.clear()
            self._facts[cache_key] = facts
        return facts

    async def _refresh(self) -> bool:
        """Build, compile, warm and swap; return whether a valid snapshot came from the database."""
        try:
            document = await in_thread(snapshots.build_document)
        except (DatabaseError, OSError) as problem:
            log.warning("The snapshot cannot be read: %s", problem)
            return False
        return await self.adopt(document, keep=True)

    async def adopt(self, document: dict[str, Any], *, keep: bool) -> bool:
        """Compile, warm and swap in a snapshot document; ``keep`` writes and acknowledges it too.

        Returns False, and goes on with what there was, when the document is not valid.
        """
        if self.snapshot is not None and document["digest"] == self.snapshot.digest:
            self.snapshot = replace(self.snapshot, revision=document["revision"])
        else:
            try:
                fresh = compile_snapshot(document)
            except Exception:
                # Whatever is wrong with it, the old one goes on serving.
                log.exception("The new snapshot is not valid; the previous one keeps serving.")
                return False
            self._warm(fresh)
            self.snapshot = fresh
            if keep:
                self._save(document)
        if keep:
            await self._acknowledge()
        return True

    def _warm(self, fresh: Snapshot) -> None:
        for name, backend in fresh.backends.items():
            made_from = (backend.base_url, backend.secret_ref, backend.max_in_flight)
            if self._made_from.get(name) == made_from:
                continue
            try:
                secret = secrets.resolve(backend.secret_ref)
            except secrets.SecretMissing as problem:
                log.warning("Backend %s has no secret: %s", name, problem)
                secret = ""
            if name in self._adapters:
                # Calls in flight finish on the session that they began with.
                asyncio.get_running_loop().call_later(
                    300, lambda a=self._adapters[name]: asyncio.ensure_future(a.close())
                )
            self._adapters[name] = OpenAICompatible(
                name=name,
                base_url=backend.base_url,
                secret=secret,
                guard=self._guard,
                max_in_flight=backend.max_in_flight,
            )
            self._made_from[name] = made_from

    def _save(self, document: dict[str, Any]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._file.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(orjson.dumps(document))
            fresh.chmod(0o600)
            fresh.replace(self._file)
        except OSError as problem:
            log.warning("The snapshot cannot be kept on disk: %s", problem)

    def _load_from_disk(self) -> None:
        try:
            document = orjson.loads(self._file.read_bytes())
            if snapshots.digest_of(document) != document["digest"]:
                log.error("The snapshot on disk does not have its digest; it is not used.")
                return
            fresh = compile_snapshot(document)
        except FileNotFoundError:
            return
        except Exception:
            log.exception("The snapshot on disk cannot be used.")
            return
        self._warm(fresh)
        self.snapshot = fresh
        log.warning("Started from the snapshot on disk, revision %s.", fresh.revision)

    async def _acknowledge(self) -> None:
        snapshot = self.snapshot
        if snapshot is None:
            return
        try:
            await in_thread(
                lambda: snapshots.acknowledge(
                    replica=self.name,
                    revision=snapshot.revision,
                    digest=snapshot.digest,
                    started_at=self.started_at,
                )
            )
        except DatabaseError as problem:
            log.warning("The snapshot cannot be acknowledged: %s", problem)

    async def _follow(self) -> None:
        """The poll behind the notification: nothing is missed when a LISTEN connection breaks."""
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                revision, unhealthy = await in_thread(
                    lambda: (snapshots.current_revision(), health.unhealthy_backends())
                )
            except DatabaseError:
                continue
            self._unhealthy = unhealthy
            if self.snapshot is None or revision != self.snapshot.revision:
                await self._refresh()
            else:
                await self._acknowledge()

    async def _listen(self) -> None:
        pause = 0.2
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._dsn, autocommit=True
                ) as connection:
                    await connection.execute(f"LISTEN {SNAPSHOT_CHANNEL}")
                    await connection.execute(f"LISTEN {HOLD_CHANNEL}")
                    pause = 0.2
                    async for notice in connection.notifies():
                        if notice.channel == SNAPSHOT_CHANNEL:
                            self._changed.set()
                        else:
                            self.on_hold_answered(notice.payload)
            except (psycopg.Error, OSError):
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
