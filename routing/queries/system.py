"""Reads how this installation is: versions, migrations, database role, queues, lag, replicas."""

from __future__ import annotations

import os
import platform
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import django
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max
from django.utils import timezone

from audit.models import Leaf
from audit.queries import Health, health
from routing.models import Decision, Projection, Replica, SnapshotRevision

SILENT_AFTER: Final = timedelta(seconds=15)

# Names of the environment, and whether their value may be shown. A secret, or an address that can
# carry a password, is only said to be set.
ENVIRONMENT: Final = (
    ("SIGNALBOX_ENV", True, "development or production"),
    ("SIGNALBOX_ROLE", True, "all, web or gateway"),
    ("SIGNALBOX_URL", True, "the address people use"),
    ("SIGNALBOX_HOSTS", True, "host names that are answered"),
    ("SIGNALBOX_TRUSTED_ORIGINS", True, "origins that may post forms"),
    ("SIGNALBOX_BEHIND_PROXY", True, "trust the proxy's X-Forwarded-Proto"),
    ("SIGNALBOX_BODY_LIMIT", True, "largest request body, in bytes"),
    ("SIGNALBOX_SNAPSHOT_MAX_AGE_S", True, "seconds a replica decides without its database"),
    ("SIGNALBOX_PRIVATE_BACKENDS", True, "private addresses that backends may use"),
    ("SIGNALBOX_PRIVATE_WEBHOOKS", True, "private addresses that webhooks may use"),
    ("SIGNALBOX_LOG_ORIGIN", True, "the name of this trail in every checkpoint"),
    ("SIGNALBOX_ANCHOR_FILE", True, "where checkpoints are kept outside"),
    ("SIGNALBOX_VAR_DIR", True, "where files of the installation lie"),
    ("SIGNALBOX_AUDIT_KEY_FILE", False, "the key that signs checkpoints"),
    ("SIGNALBOX_PAYLOAD_KEY_FILE", False, "the key that encrypts stored texts"),
    ("SIGNALBOX_SECRET_KEY_FILE", False, "the key of sessions and forms"),
    ("SIGNALBOX_SECRET_KEY", False, "the same, given directly"),
    ("DATABASE_URL", False, "the runtime role's database"),
    ("DATABASE_OWNER_URL", False, "the owner's, for migrations"),
    ("DATABASE_SEQUENCER_URL", False, "the sequencer's"),
    ("DATABASE_READER_URL", False, "the reader's, for reports"),
    ("BROKER_URL", False, "the queue of background work"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    name: str
    value: str
    means: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaRow:
    replica: Replica
    state: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    as_of: datetime
    versions: Sequence[tuple[str, str]]
    pending: Sequence[str]
    role: str
    role_note: str
    role_tone: str
    clock_skew_ms: int
    trail: Health
    list_behind: int
    open_decisions: int
    overdue: int
    revision: int
    replicas: Sequence[ReplicaRow]
    settings: Sequence[Setting]


def system(expected_digest: str) -> System:
    """`expected_digest` is that of the snapshot as it would be built now."""
    now = timezone.now()
    revision = SnapshotRevision.objects.values_list("revision", flat=True).first() or 0
    role, note, tone, server, skew_ms = _database(now)
    open_ones = Decision.objects.filter(outcome=Decision.Outcome.OPEN)
    return System(
        as_of=now,
        versions=[
            ("Signalbox", _own_version()),
            ("Python", platform.python_version()),
            ("Django", django.get_version()),
            ("PostgreSQL", server),
        ],
        pending=_pending(),
        role=role,
        role_note=note,
        role_tone=tone,
        clock_skew_ms=skew_ms,
        trail=health(),
        list_behind=_list_behind(),
        open_decisions=open_ones.count(),
        overdue=open_ones.filter(deadline_at__lt=now).count(),
        revision=revision,
        replicas=[_replica(one, expected_digest, now) for one in Replica.objects.all()],
        settings=[_setting(*one) for one in ENVIRONMENT],
    )


def _own_version() -> str:
    try:
        with (settings.BASE_DIR / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"


def _pending() -> list[str]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def _database(now: datetime) -> tuple[str, str, str, str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT current_user, r.rolsuper, pg_get_userbyid(c.relowner) = current_user,
                      current_setting('server_version'), clock_timestamp()
               FROM pg_roles r, pg_class c
               WHERE r.rolname = current_user AND c.oid = 'routing_decision'::regclass"""
        )
        role, is_super, is_owner, server, clock = cursor.fetchone()
    skew_ms = round((clock - now).total_seconds() * 1000)
    if is_super:
        return role, "a superuser: it could rewrite the trail", "bad", server, skew_ms
    if is_owner:
        return role, "it owns its tables: give it a role of its own", "warn", server, skew_ms
    return role, "reads and writes, owns nothing", "good", server, skew_ms


def _list_behind() -> int:
    """Entries that the list of decisions has not read yet."""
    last = Leaf.objects.aggregate(last=Max("seq"))["last"]
    place = Projection.objects.filter(name="decisions").values_list("position", flat=True).first()
    return 0 if last is None else last - (-1 if place is None else place)


def _replica(replica: Replica, expected: str, now: datetime) -> ReplicaRow:
    if now - replica.seen_at > SILENT_AFTER:
        return ReplicaRow(replica=replica, state="silent", tone="bad")
    if replica.refused:
        return ReplicaRow(replica=replica, state="refuses the newest", tone="bad")
    if replica.digest != expected:
        return ReplicaRow(replica=replica, state="behind", tone="warn")
    return ReplicaRow(replica=replica, state="agrees", tone="good")


def _setting(name: str, may_show: bool, means: str) -> Setting:
    value: Any = os.environ.get(name)
    if value is None:
        return Setting(name=name, value="not set", means=means)
    return Setting(name=name, value=value if may_show else "set, not shown", means=means)
