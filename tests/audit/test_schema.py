"""What the database itself refuses, whatever the code above it does."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors

from audit.ids import terminal_id, uuid7
from audit.sealing import SealedEvent
from tests.audit.conftest import Ledger

TABLES = ["audit.event", "audit.event_default", "audit.leaf", "audit.node", "audit.checkpoint"]
CHANGES = ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"]
COLUMN = {
    "audit.event": "kind",
    "audit.event_default": "kind",
    "audit.leaf": "seq",
    "audit.node": "n",
    "audit.checkpoint": "size",
}


@pytest.mark.parametrize("role", ["default", "sequencer", "owner"])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", CHANGES)
def test_nobody_changes_the_ledger(
    empty_ledger: Ledger, role: str, table: str, change: str
) -> None:
    column = COLUMN[table]
    with empty_ledger.connect(role) as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute(change.format(table, column, column))


@pytest.mark.parametrize("change", CHANGES)
def test_no_month_can_be_changed_by_its_own_name(filled: Ledger, change: str) -> None:
    with filled.connect() as owner:
        month = owner.execute("SELECT tableoid::regclass::text FROM audit.event LIMIT 1").fetchone()
        assert month is not None
        assert month[0].startswith("audit.event_2")
        with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
            owner.execute(change.format(month[0], "kind", "kind"))


def test_guards_do_not_sleep_for_a_replica_role(filled: Ledger) -> None:
    with filled.connect() as owner:
        enabled = owner.execute(
            "SELECT DISTINCT tgenabled FROM pg_trigger WHERE tgname = 'append_only'"
        ).fetchall()

    assert enabled == [("A",)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO audit.leaf VALUES (99, gen_random_uuid(), decode(repeat('00', 32), 'hex'))",
        "INSERT INTO audit.checkpoint VALUES (99, '', '', '', now())",
        "INSERT INTO audit.key VALUES ('n', 'v', 'active', 0)",
        "DELETE FROM audit.pending",
        "UPDATE audit.writer SET id = 'x'",
        "DELETE FROM audit.writer",
        "SELECT audit.guard('audit.event')",
        "ALTER TABLE audit.event DISABLE TRIGGER append_only",
        "DROP TABLE audit.event",
    ],
)
def test_the_application_cannot_forge_the_tree(empty_ledger: Ledger, statement: str) -> None:
    with empty_ledger.connect("default") as app, pytest.raises(errors.InsufficientPrivilege):
        app.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO audit.event (id, kind, at, body, leaf)"
        " VALUES (gen_random_uuid(), 'a.b', now(), '', '')",
        "SELECT * FROM audit.payload",
        "SELECT * FROM audit.payload_key",
        "DELETE FROM audit.key",
        "UPDATE audit.key SET vkey = 'x'",
    ],
)
def test_the_sequencer_neither_writes_events_nor_reads_texts(
    empty_ledger: Ledger, statement: str
) -> None:
    with empty_ledger.connect("sequencer") as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute(statement)


def insert(ledger: Ledger, event: SealedEvent, **changes: Any) -> None:
    row = {**event._asdict(), **changes}
    with ledger.connect("default") as app:
        app.execute(
            """INSERT INTO audit.event (id, decision_id, kind, at, body, leaf)
               VALUES (%(id)s, %(decision_id)s, %(kind)s, %(at)s, %(body)s, %(leaf)s)""",
            row,
        )


def test_a_wrong_leaf_is_refused(empty_ledger: Ledger) -> None:
    with pytest.raises(errors.CheckViolation, match="event_leaf_is_hash_of_body"):
        insert(empty_ledger, empty_ledger.made(), leaf=bytes(32))


def test_a_body_over_64_kib_is_refused(empty_ledger: Ledger) -> None:
    with pytest.raises(errors.CheckViolation):
        insert(empty_ledger, empty_ledger.made(), body=b"x" * 65_536)


def test_a_second_outcome_is_refused(ledger: Ledger) -> None:
    made = ledger.made()
    insert(ledger, ledger.ended(made, "decision.completed"))

    with pytest.raises(errors.UniqueViolation):
        insert(ledger, ledger.ended(made, "decision.failed"))


def test_a_second_decision_under_the_same_id_is_refused(ledger: Ledger) -> None:
    made = ledger.made()
    insert(ledger, made)

    with pytest.raises(errors.UniqueViolation):
        insert(ledger, made)


@pytest.mark.parametrize(
    ("kind", "identity", "decision"),
    [
        ("decision.made", lambda d: uuid7(), lambda d: d),
        ("decision.made", lambda d: d, lambda d: None),
        ("decision.completed", lambda d: uuid7(), lambda d: d),
        ("decision.completed", lambda d: terminal_id(d), lambda d: uuid7()),
        ("decision.completed", lambda d: terminal_id(d), lambda d: None),
        ("policy.approved", lambda d: d, lambda d: d),
        ("policy.approved", lambda d: terminal_id(d), lambda d: d),
        ("policy.approved", lambda d: "00000000-0000-4000-8000-000000000000", lambda d: None),
        ("NotAKind", lambda d: uuid7(), lambda d: None),
    ],
)
def test_an_id_that_does_not_fit_its_kind_is_refused(
    empty_ledger: Ledger, kind: str, identity: Any, decision: Any
) -> None:
    made = empty_ledger.made()

    with pytest.raises(errors.CheckViolation):
        insert(empty_ledger, made, kind=kind, id=identity(made.id), decision_id=decision(made.id))


def test_a_retried_batch_stores_each_event_once(ledger: Ledger) -> None:
    made = ledger.made()
    batch = (made, ledger.ended(made))

    first, second = ledger.store(*batch), ledger.store(*batch)

    assert (set(first), second) == ({event.id for event in batch}, [])
    with ledger.connect() as owner:
        assert owner.execute("SELECT count(*) FROM audit.pending").fetchone() == (2,)


def test_a_month_is_made_ahead_and_guarded(ledger: Ledger) -> None:
    with ledger.connect("default") as app:
        made = app.execute("SELECT audit.ensure_partitions(20)").fetchone()
        assert made is not None
        assert made[0] > 0
        again = app.execute("SELECT audit.ensure_partitions(20)").fetchone()

    assert again == (0,)
    with ledger.connect() as owner:
        bare = owner.execute(
            """SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'audit' AND c.relname LIKE 'event\\_%' AND c.relkind = 'r'
                 AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid)"""
        ).fetchall()
    assert bare == []


def test_the_migration_does_not_undo_a_ledger_with_entries(filled: Ledger) -> None:
    from tests.audit.conftest import SQL

    undo = SQL.with_name("ledger_undo.sql").read_text()
    with filled.connect() as owner, pytest.raises(psycopg.errors.RaiseException):
        owner.execute(undo)


def test_the_migration_undoes_an_empty_ledger(ledger: Ledger) -> None:
    from tests.audit.conftest import SQL

    with ledger.connect() as owner:
        owner.execute(SQL.with_name("ledger_undo.sql").read_text())

        assert owner.execute("SELECT to_regnamespace('audit')").fetchone() == (None,)
