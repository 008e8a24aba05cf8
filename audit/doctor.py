"""Proves that this installation cannot quietly change the trail, or says what is weaker."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

from django.conf import settings
from django.db import connection
from django.utils import timezone

from audit import anchors
from audit.errors import LedgerFault

Verdict = Literal["ok", "weak", "bad"]

APPEND_ONLY: Final = ("event", "leaf", "node", "checkpoint")
LAG_BAD: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """``weak``: it works, and one wall fewer stands. ``bad``: the promise does not hold."""

    name: str
    verdict: Verdict
    sentence: str


def examine() -> list[Check]:
    with connection.cursor() as cursor:
        return [
            *_role(cursor),
            *_rights(cursor),
            *_guards(cursor),
            *_durability(cursor),
            *_partitions(cursor),
            *_lag(cursor),
            *_files(),
        ]


def worst(checks: list[Check]) -> Verdict:
    verdicts = {check.verdict for check in checks}
    return "bad" if "bad" in verdicts else "weak" if "weak" in verdicts else "ok"


def _say(name: str, good: bool, yes: str, no: str, otherwise: Verdict = "bad") -> Check:
    return Check(name=name, verdict="ok" if good else otherwise, sentence=yes if good else no)


def _role(cursor: Any) -> Iterator[Check]:
    cursor.execute(
        """SELECT current_user, r.rolsuper, pg_get_userbyid(n.nspowner),
                  pg_has_role(current_user, n.nspowner, 'MEMBER')
           FROM pg_roles r, pg_namespace n
           WHERE r.rolname = current_user AND n.nspname = 'audit'"""
    )
    user, is_super, owner, is_owner = cursor.fetchone()
    yield _say(
        "superuser",
        not is_super,
        f"The running role {user} is not a superuser.",
        f"The running role {user} is a superuser: nothing in the database can stop it.",
    )
    yield _say(
        "owner",
        not is_owner,
        f"The running role {user} is not the owner of the ledger ({owner}).",
        f"The running role {user} owns the ledger or may act as {owner}: it could drop the guards.",
        "weak",
    )
    same = len({str(settings.DATABASES[name]["USER"]) for name in ("default", "sequencer")}) == 1
    yield _say(
        "sequencer",
        not same,
        "The sequencer has a role of its own.",
        "The sequencer runs under the same role as the application, which could forge the tree.",
        "weak",
    )


def _rights(cursor: Any) -> Iterator[Check]:
    cursor.execute(
        """SELECT c.relname, string_agg(lower(p.name), ', ' ORDER BY p.name)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           CROSS JOIN (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS p(name)
           WHERE n.nspname = 'audit' AND c.relkind IN ('r', 'p')
             AND (c.relname = ANY(%s) OR c.relname LIKE 'event\\_%%')
             AND has_table_privilege(current_user, c.oid, p.name)
           GROUP BY c.relname ORDER BY c.relname""",
        (list(APPEND_ONLY),),
    )
    held = cursor.fetchall()
    listed = "; ".join(f"{table}: {rights}" for table, rights in held[:5])
    yield _say(
        "rights",
        not held,
        "The running role may only add to the ledger: no update, delete or truncate.",
        f"The running role holds rights it must not have ({listed}). The guards still refuse.",
        "weak",
    )


def _guards(cursor: Any) -> Iterator[Check]:
    cursor.execute(
        """SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = 'audit' AND c.relkind IN ('r', 'p')
             AND (c.relname = ANY(%s) OR c.relname LIKE 'event\\_%%')
             AND NOT EXISTS (
                 SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'append_only'
                   AND t.tgenabled = 'A' AND t.tgtype & (8 | 16 | 32) = (8 | 16 | 32))
           ORDER BY c.relname""",
        (list(APPEND_ONLY),),
    )
    bare = [name for (name,) in cursor.fetchall()]
    yield _say(
        "guards",
        not bare,
        "Every table of the ledger has its guard against change, always on.",
        f"The guard is missing or switched off on: {', '.join(bare[:5])}.",
    )
    cursor.execute(
        """SELECT count(*) FROM pg_constraint WHERE conrelid = 'audit.event'::regclass
             AND contype = 'c' AND convalidated AND conname LIKE 'event\\_%%'"""
    )
    checks = cursor.fetchone()[0]
    yield _say(
        "constraints",
        checks >= 6,
        "The database itself checks hashes, sizes and the one outcome of a decision.",
        f"Only {checks} of the 6 constraints of the event table are there.",
    )


def _durability(cursor: Any) -> Iterator[Check]:
    off = []
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        cursor.execute("SELECT current_setting(%s)", (name,))
        if cursor.fetchone()[0] in {"off", "local"}:
            off.append(name)
    yield _say(
        "durability",
        not off,
        "The database confirms a record only when it is on disk.",
        f"The database does not wait for the disk ({', '.join(off)} is off): a crash can lose "
        "records.",
    )


def _partitions(cursor: Any) -> Iterator[Check]:
    cursor.execute(
        """SELECT to_regclass('audit.event_' || to_char(now() AT TIME ZONE 'UTC'
                  + interval '1 month', 'YYYY_MM')) IS NOT NULL"""
    )
    yield _say(
        "partitions",
        cursor.fetchone()[0],
        "The partition of the next month is ready.",
        "The partition of the next month is not there yet; its events would go to the default one.",
        "weak",
    )


def _lag(cursor: Any) -> Iterator[Check]:
    lag, waiting = lag_of(cursor)
    yield _say(
        "lag",
        lag < LAG_BAD,
        f"The sequencer keeps up: {waiting} events wait for it.",
        f"{waiting} events wait for the sequencer, the oldest for {int(lag.total_seconds())} s. "
        "Is it running?",
    )


def lag_of(cursor: Any) -> tuple[timedelta, int]:
    """Age of the oldest waiting event, and how many wait."""
    cursor.execute(
        """SELECT count(*), min(e.at) FROM (SELECT event_id FROM audit.pending LIMIT 100000) p
           JOIN audit.event e ON e.id = p.event_id"""
    )
    waiting, oldest = cursor.fetchone()
    return (timezone.now() - oldest if oldest else timedelta()), waiting


def _files() -> Iterator[Check]:
    key = Path(settings.AUDIT_KEY_FILE)
    if key.exists():
        mode = stat.S_IMODE(key.stat().st_mode)
        yield _say(
            "key",
            not mode & 0o077,
            "The signing key's file is closed to others.",
            f"The signing key's file can be read by others (mode {mode:o}).",
        )
    else:
        yield Check(name="key", verdict="ok", sentence="The signing key is not on this machine.")
    try:
        anchor = anchors.last(Path(settings.AUDIT_ANCHOR_FILE))
    except (LedgerFault, OSError) as problem:
        yield Check(name="anchor", verdict="bad", sentence=str(problem))
        return
    yield _say(
        "anchor",
        anchor is not None,
        f"A checkpoint of {anchor.size if anchor else 0} entries is kept outside the database.",
        "No checkpoint is kept outside yet: a rollback of the database would go unseen.",
        "weak",
    )
