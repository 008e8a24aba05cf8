"""A ledger of one's own for tests that commit, sequence or tamper; files under tmp_path."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connections, transaction

import audit
from audit.actors import Actor
from audit.ids import uuid7
from audit.reports import contributions
from audit.sealing import BATCH_SQL, SealedEvent, Writer, batch_parameters
from audit.sequencer import register_key, sequence_once

SQL = Path(audit.__file__).parent / "migrations" / "sql" / "ledger.sql"
ANA = Actor("person", "7", "ana", ("author",))
SHOP = Actor("api_key", "k1234567", "web shop")
ROUTER = Actor("system", "router", "router")
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def own_files(settings: Any, tmp_path: Path) -> None:
    settings.AUDIT_ORIGIN = "test.example/ledger"
    settings.AUDIT_KEY_FILE = tmp_path / "keys" / "audit.key"
    settings.PAYLOAD_KEY_FILE = tmp_path / "keys" / "payload.key"
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors" / "checkpoints.txt")
    settings.REPORTS_DIR = tmp_path / "reports"


@pytest.fixture(autouse=True)
def no_rooms_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of one's own has no tables of the rooms above, so those add nothing to a report."""
    monkeypatch.setattr(contributions, "_registered", {})
    monkeypatch.setattr(contributions, "_documents", [])


def _dsn(alias: str, name: str | None = None) -> str:
    values = connections[alias].settings_dict
    return psycopg.conninfo.make_conninfo(
        host=values["HOST"],
        port=values["PORT"],
        user=values["USER"],
        password=values["PASSWORD"],
        dbname=name or values["NAME"],
    )


@pytest.fixture(scope="session")
def ledger_template(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """A database with an empty ledger and this room's own tables, to be copied."""
    from audit.models import Report, Verification

    name = f"test_ledger_{os.getpid()}"
    with psycopg.connect(_dsn("owner"), autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}"')
        server.execute(f'CREATE DATABASE "{name}"')
    owner = connections["owner"]
    before = owner.settings_dict["NAME"]
    with django_db_blocker.unblock():
        owner.close()
        owner.settings_dict["NAME"] = name
        with owner.cursor() as cursor:
            cursor.execute(SQL.read_text())
        with owner.schema_editor() as editor:
            editor.create_model(Report)
            editor.create_model(Verification)
        with owner.cursor() as cursor:
            cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO signalbox_app")
        owner.close()
        owner.settings_dict["NAME"] = before
    yield name
    with psycopg.connect(_dsn("owner"), autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}"')


class Ledger:
    """One test's ledger: write to it, sequence it, attack it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.writer = Writer("test.example/ledger", name="gateway")

    def connect(self, alias: str = "owner") -> psycopg.Connection[Any]:
        return psycopg.connect(_dsn(alias, self.name), autocommit=True)

    def store(self, *events: SealedEvent) -> list[UUID]:
        with self.connect("default") as app:
            rows = app.execute(BATCH_SQL, batch_parameters(events)).fetchall()
        return [row[0] for row in rows]

    def made(self, **details: object) -> SealedEvent:
        identity = uuid7()
        content = {
            "deadline_at": "2100-01-01T00:00:00.000000Z",
            "decision": {"rule": "short", "boundary": "private", "sentence": "Short."},
            **details,
        }
        return self.writer.seal(
            "decision.made",
            decision_id=identity,
            actor=SHOP,
            object=("route", "support-triage"),
            details=content,
            corr={"request_id": f"req-{identity.hex[-8:]}"},
        )

    def ended(self, made: SealedEvent, kind: str = "decision.completed") -> SealedEvent:
        return self.writer.seal(
            kind,
            decision_id=made.id,
            actor=ROUTER,
            object=("route", "support-triage"),
            details={"backend": "slm", "tier": "slm", "boundary": "private", "cost_usd": "0.001"},
            corr={"request_id": made.request_id},
        )

    def decisions(self, count: int) -> list[SealedEvent]:
        """Store whole decisions; returns their events in pairs."""
        events: list[SealedEvent] = []
        for _ in range(count):
            made = self.made()
            events += [made, self.ended(made)]
        self.store(*events)
        return events

    def record(self, kind: str = "backend.changed", **more: Any) -> UUID:
        with transaction.atomic():
            return audit.record(
                kind, **{"by": ANA, "object_type": "backend", "object_id": "slm", **more}
            )

    def sequence(self, **options: Any) -> int:
        with self.connect("sequencer") as conn:
            from audit import keys

            register_key(conn, keys.signer_made_when_missing()[0])
            return sequence_once(conn, **options)

    def attack(self, *statements: str) -> None:
        """As the owner, with every guard off: what an administrator of the database could do."""
        with self.connect() as owner:
            owner.execute(
                """DO $$ DECLARE t record; BEGIN
                   FOR t IN SELECT c.oid::regclass AS name FROM pg_class c
                       JOIN pg_trigger g ON g.tgrelid = c.oid AND g.tgname = 'append_only'
                   LOOP EXECUTE format('ALTER TABLE %s DISABLE TRIGGER append_only', t.name);
                   END LOOP; END $$"""
            )
            for statement in statements:
                owner.execute(statement)


@contextmanager
def a_copy(template: str, blocker: Any) -> Iterator[Ledger]:
    name = f"{template}_{next(_numbers)}"
    before = {alias: connections[alias].settings_dict["NAME"] for alias in connections}
    with psycopg.connect(_dsn("owner"), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    with blocker.unblock():
        for alias in connections:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = name
        yield Ledger(name)
        for alias in connections:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = before[alias]
    with psycopg.connect(_dsn("owner"), autocommit=True) as server:
        server.execute(f'DROP DATABASE "{name}"')


@pytest.fixture
def ledger(ledger_template: str, django_db_blocker: Any) -> Iterator[Ledger]:
    """A fresh ledger; Django's connections point to it for the length of the test."""
    with a_copy(ledger_template, django_db_blocker) as copy:
        yield copy


@pytest.fixture(scope="module")
def empty_ledger(ledger_template: str, django_db_blocker: Any) -> Iterator[Ledger]:
    """One ledger for tests that only try what is refused; nothing is ever in it."""
    with a_copy(ledger_template, django_db_blocker) as copy:
        yield copy


def fill(ledger: Ledger) -> None:
    """Three rounds of sequencing: 14 entries under four checkpoints, nothing waiting."""
    ledger.decisions(3)
    ledger.sequence()
    ledger.record(reason="prices of the new contract", before={"p": "1"}, after={"p": "2"})
    ledger.record("policy.approved", object_type="policy_version", object_id="support-triage/2")
    ledger.sequence()
    ledger.decisions(3)
    ledger.sequence()


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    fill(ledger)
    return ledger
