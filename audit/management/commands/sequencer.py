"""The sequencer daemon: rounds, standby, anchors, followers, clean stop on SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, close_old_connections, connections, transaction

from audit import anchors, followers, keys
from audit.actors import SYSTEM
from audit.errors import LedgerFault
from audit.ledger import record
from audit.notes import Signer
from audit.sequencer import BATCH, Connection, newest_note, register_key, sequence_once

log = logging.getLogger(__name__)

LEADER = (727182837, 2)
ANCHOR_EVERY_S = 60.0
FOLLOW_EVERY_S = 5.0
PARTITIONS_EVERY_S = 6 * 3600.0


class Command(BaseCommand):
    help = "Puts committed events into the Merkle tree and signs its checkpoints."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own form

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="sequence what is pending, then end"
        )
        parser.add_argument("--interval", type=float, default=0.2, help="seconds between rounds")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        if not options["once"]:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
        Daemon(stop, interval_s=options["interval"]).run(once=options["once"])


class Daemon:
    """Holds the leader's lock while it lives; without it, waits for the leader to go."""

    def __init__(self, stop: threading.Event, *, interval_s: float) -> None:
        self._stop = stop
        self._interval_s = interval_s
        self._anchor_file = Path(settings.AUDIT_ANCHOR_FILE)
        self._signer: Signer | None = None
        self._next_anchor = self._next_follow = self._next_partitions = 0.0
        self._complaint = ""

    def run(self, *, once: bool = False) -> None:
        while not self._stop.is_set():
            try:
                self._lead(once=once)
            except (LedgerFault, psycopg.Error, DatabaseError, OSError) as problem:
                self._complain(problem)
                if once:
                    raise
            if once:
                return
            self._stop.wait(1.0)

    def _complain(self, problem: Exception) -> None:
        # Loud once per cause: events are still accepted, but nothing is signed any more.
        if (text := f"{type(problem).__name__}: {problem}") != self._complaint:
            self._complaint = text
            log.error("Sequencing stopped. %s", text)
        connections["sequencer"].close()
        close_old_connections()

    def _lead(self, *, once: bool) -> None:
        conn = self._connect()
        if not conn.execute("SELECT pg_try_advisory_lock(%s, %s)", LEADER).fetchone()[0]:  # type: ignore[index]
            self._complaint = ""
            return
        try:
            self._prepare(conn)
            while True:
                sequenced = sequence_once(conn, signer=self._signer, anchor_file=self._anchor_file)
                self._complaint = ""
                self._after_round(conn, sequenced)
                if self._stop.is_set() or (once and not sequenced):
                    break
                if sequenced < BATCH:
                    self._stop.wait(self._interval_s)
            self._anchor(conn)
        finally:
            connections["sequencer"].close()

    @staticmethod
    def _connect() -> Connection:
        wrapper = connections["sequencer"]
        wrapper.ensure_connection()
        conn: Connection = wrapper.connection
        return conn

    def _prepare(self, conn: Connection) -> None:
        self._signer, _ = keys.signer_made_when_missing()
        if register_key(conn, self._signer):
            with transaction.atomic():
                record(
                    "log.key_created",
                    by=SYSTEM("sequencer"),
                    object_type="key",
                    object_id=self._signer.verifier.name,
                    details={"vkey": str(self._signer.verifier)},
                )

    def _after_round(self, conn: Connection, sequenced: int) -> None:
        now = monotonic()
        if sequenced or now >= self._next_follow:
            self._next_follow = now + FOLLOW_EVERY_S
            followers.follow_all()
        if now >= self._next_partitions:
            self._next_partitions = now + PARTITIONS_EVERY_S
            conn.execute("SELECT audit.ensure_partitions(3)")
        if now >= self._next_anchor:
            self._next_anchor = now + ANCHOR_EVERY_S
            self._anchor(conn)

    def _anchor(self, conn: Connection) -> None:
        newest = newest_note(conn)
        last = anchors.last(self._anchor_file)
        # Anchoring is itself recorded: one entry more is only that record, and no reason to repeat.
        if newest is None or (last is not None and newest[0] <= last.size + 1):
            return
        if last is None and newest[0] == 0:
            return
        anchor = anchors.append(self._anchor_file, newest[1])
        with transaction.atomic():
            record(
                "log.checkpoint_anchored",
                by=SYSTEM("sequencer"),
                object_type="log",
                object_id=settings.AUDIT_ORIGIN,
                details={
                    "size": anchor.size,
                    "root": anchor.root.hex(),
                    "where": self._anchor_file.name,
                },
            )
