"""What one running replica holds: snapshot, adapters, breakers, health, and how it keeps them.

A new snapshot is built, compiled and rehearsed before it is swapped in; the old one serves
meanwhile, and goes on when the new one is not valid. Requests in flight keep the one they began
with. How old a snapshot may become without the database's word is stated, and enforced.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseProblem
from django.db import close_old_connections

from audit import payloads
from routing.adapters.egress import Guard
from routing.adapters.openai_compatible import OpenAICompatible
from routing.engine.types import BackendFacts
from routing.gateway.breaker import Breaker, RetryBudget
from routing.gateway.budgets import Budgets
from routing.gateway.caps import HoldCaps
from routing.gateway.kept import SnapshotFile, Unusable
from routing.gateway.latencies import Latencies
from routing.gateway.rehearsal import NotValid, prepare
from routing.gateway.scoring import Scoring
from routing.gateway.sessions import Sessions
from routing.gateway.snapshot import ClientKey, Snapshot, restricted_by
from routing.gateway.watch import Seen, Watch
from routing.services import secrets, snapshots

log = logging.getLogger(__name__)
T = TypeVar("T")

START_S = 5.0
BUDGETS_S = 1.0
BUILD_S = 10.0
TELL_S = 2.0
KEEP_EVERY_S = 30.0
MAX_AGE_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A newer snapshot that was not taken, and why."""

    revision: int
    why: str


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
    def __init__(self, *, dsn: str, file: Path, guard: Guard, max_age_s: float = MAX_AGE_S) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self.started_at = datetime.now(UTC)
        self.snapshot: Snapshot | None = None
        self.refusal: Refusal | None = None
        self.refused = 0
        self.max_age_s = max_age_s
        self.on_hold_answered: Callable[[str], None] = lambda _: None
        self.on_database_lost: Callable[[], None] = lambda: None
        self._confirmed = monotonic()
        self._good: Snapshot | None = None
        self._document: dict[str, Any] | None = None
        self._file = SnapshotFile(file, key=payloads.payload_key)
        self._kept_at = -KEEP_EVERY_S
        self._guard = guard
        self._adapters: dict[str, OpenAICompatible] = {}
        self._made_from: dict[str, tuple[str, str, int]] = {}
        self._breakers: dict[str, Breaker] = {}
        self._retries: dict[str, RetryBudget] = {}
        self._unhealthy: frozenset[str] = frozenset()
        self._facts: dict[tuple[str, ...], dict[str, BackendFacts]] = {}
        self._watch = Watch(
            dsn,
            on_seen=self._seen,
            on_lost=lambda: self.on_database_lost(),
            on_hold=lambda decision_id: self.on_hold_answered(decision_id),
        )
        self._tasks: list[asyncio.Task[Any]] = []
        self._one_at_a_time = asyncio.Lock()
        self.hold_caps = HoldCaps()
        self.budgets = Budgets()
        self.latencies = Latencies()
        self.sessions = Sessions()
        self.scoring = Scoring()

    async def start(self) -> None:
        """Load a snapshot from the database, or from disk when it does not answer; then follow."""
        first = asyncio.create_task(self._refresh(), name="first snapshot")
        await asyncio.wait({first}, timeout=START_S)
        if self.snapshot is None:
            await self._load_from_disk()
        await self.read_budgets()
        self._tasks = [
            first,
            asyncio.create_task(self._watch.run(), name="watch"),
            asyncio.create_task(self._follow_budgets(), name="budgets"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for adapter in self._adapters.values():
            await adapter.close()
        if self._document is not None:
            await self._told(lambda: snapshots.leave(replica=self.name))

    def age_s(self) -> float:
        """Seconds since the database last said that this is what it holds."""
        return monotonic() - self._confirmed

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

    def backend_facts(
        self, snapshot: Snapshot, key: ClientKey, over: str = ""
    ) -> dict[str, BackendFacts]:
        """The engine's view of every backend now: registered facts, health, breaker, budget.

        ``over`` is ``cost`` where only backends without a price may be called, ``all`` where none.
        """
        now = monotonic()
        cooling = tuple(sorted(n for n, b in self._breakers.items() if b.is_open(now)))
        cache_key = (snapshot.digest, over, *cooling, "|", *sorted(self._unhealthy))
        facts = self._facts.get(cache_key)
        if facts is None:
            facts = {
                name: replace(
                    b.facts,
                    healthy=name not in self._unhealthy,
                    cooling=name in cooling,
                    over_budget=over == "all" or (over == "cost" and b.has_price),
                )
                for name, b in snapshot.backends.items()
            }
            if len(self._facts) > 64:
                self._facts.clear()
            self._facts[cache_key] = facts
        return facts

    async def read_budgets(self) -> None:
        """Learn what keys and routes with a budget have used; without the database, go on."""
        snapshot = self.snapshot
        if snapshot is None or not snapshot.budgets:
            return
        try:
            async with asyncio.timeout(START_S):
                seen = await in_thread(lambda: self.budgets.read(snapshot))
        except (DatabaseProblem, OSError) as problem:
            log.warning("What was used of budgets cannot be read: %s", problem)
            return
        if seen is not None:
            self.budgets.take_over(snapshot, seen)

    async def _follow_budgets(self) -> None:
        while True:
            await asyncio.sleep(BUDGETS_S)
            try:
                await self.read_budgets()
            except Exception:
                # Budgets go on with what was read before and what this process settled.
                log.exception("What was used of budgets cannot be read.")

    async def _seen(self, seen: Seen) -> None:
        """The database spoke: take over what changed, and say what runs here."""
        self._unhealthy = seen.unhealthy
        if self.refusal is not None:
            is_known = seen.revision == self.refusal.revision
        else:
            # A snapshot from disk may be another database's, whatever its revision.
            is_known = self._document is not None and self._document["revision"] == seen.revision
        if is_known:
            self._confirmed = monotonic()
            await self._keep()
            await self._acknowledge()
        else:
            await self._refresh()

    async def _refresh(self) -> bool:
        """Build, compile, rehearse and swap; return whether a valid snapshot came of it."""
        asked = monotonic()
        try:
            async with asyncio.timeout(BUILD_S):
                document = await in_thread(snapshots.build_document)
        except (DatabaseProblem, OSError) as problem:
            log.warning("The snapshot cannot be read: %s", problem)
            return False
        except Exception as problem:
            self._refuse(-1, f"it cannot be built: {type(problem).__name__}: {problem}"[:300])
            return False
        self._confirmed = asked
        return await self.adopt(document, keep=True)

    async def adopt(self, document: dict[str, Any], *, keep: bool) -> bool:
        """Compile, rehearse and swap in a document; ``keep`` writes and acknowledges it too.

        Returns False, and goes on with what there was, when the document is not valid: only what
        it takes away holds at once.
        """
        async with self._one_at_a_time:
            if self.snapshot is not None and document["digest"] == self.snapshot.digest:
                self.snapshot = replace(self.snapshot, revision=document["revision"])
                self.refusal = None
            elif not await self._swap(document):
                if keep:
                    await self._acknowledge()
                return False
            if keep:
                if self._document is None or self._document["digest"] != document["digest"]:
                    self._kept_at = -KEEP_EVERY_S
                self._document = document
                await self._keep()
                await self._acknowledge()
        return True

    async def _swap(self, document: dict[str, Any]) -> bool:
        try:
            # Beside the loop: requests are answered from the old one while this takes its time.
            fresh = await asyncio.to_thread(prepare, document)
        except NotValid as problem:
            self._refuse(document.get("revision", -1), str(problem))
            self._restrict(document)
            return False
        self._warm(fresh)
        self.snapshot = self._good = fresh
        self.refusal = None
        log.info("Running on snapshot revision %s, %s.", fresh.revision, fresh.digest)
        return True

    def _refuse(self, revision: int, why: str) -> None:
        if self.refusal is None or self.refusal.why != why:
            self.refused += 1
            log.error("Snapshot revision %s is refused, the previous one serves: %s", revision, why)
        self.refusal = Refusal(revision=revision, why=why)

    def _restrict(self, document: dict[str, Any]) -> None:
        if self._good is None:
            return
        try:
            self.snapshot = restricted_by(self._good, document)
        except Exception:
            log.exception("What the refused snapshot takes away cannot be read either.")

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
                asyncio.get_running_loop().call_later(300, _close, self._adapters[name])
            self._adapters[name] = OpenAICompatible(
                name=name,
                base_url=backend.base_url,
                secret=secret,
                guard=self._guard,
                max_in_flight=backend.max_in_flight,
            )
            self._made_from[name] = made_from

    async def _keep(self) -> None:
        """Write the snapshot down, and again from time to time: its age counts from the last."""
        document, now = self._document, monotonic()
        if document is None or self.refusal is not None or now - self._kept_at < KEEP_EVERY_S:
            return
        self._kept_at = now
        confirmed_at = time() - self.age_s()
        try:
            await asyncio.to_thread(self._file.write, document, confirmed_at=confirmed_at)
        except OSError as problem:
            log.warning("The snapshot cannot be kept on disk: %s", problem)

    async def _load_from_disk(self) -> None:
        try:
            kept = await asyncio.to_thread(self._file.read, now=time())
            fresh = await asyncio.to_thread(prepare, kept.document)
        except FileNotFoundError:
            log.error("No database and no snapshot on disk: nothing can be decided until one is.")
            return
        except (Unusable, NotValid) as problem:
            log.error("The snapshot on disk is not used: %s", problem)
            return
        except Exception:
            log.exception("The snapshot on disk cannot be read.")
            return
        if self.snapshot is not None:
            return
        self._warm(fresh)
        self.snapshot = self._good = fresh
        self._confirmed = monotonic() - kept.age_s
        log.warning("Started from disk: revision %s, %.0f s old.", fresh.revision, kept.age_s)

    async def _acknowledge(self) -> None:
        snapshot, refusal = self.snapshot, self.refusal
        if snapshot is None:
            return
        await self._told(
            lambda: snapshots.acknowledge(
                replica=self.name,
                revision=snapshot.revision,
                digest=snapshot.digest,
                started_at=self.started_at,
                refused=f"Revision {refusal.revision}: {refusal.why}" if refusal else "",
            )
        )

    async def _told(self, say: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(TELL_S):
                await in_thread(say)
        except (DatabaseProblem, OSError) as problem:
            log.warning("The database was not told what runs here: %s", problem)


def _close(adapter: OpenAICompatible) -> None:
    asyncio.ensure_future(adapter.close())  # noqa: RUF006  (nothing waits for it)
