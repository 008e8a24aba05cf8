"""Read access to the ledger's tables, and the two tables of this room that change.

The ledger's models are unmanaged: SQL made the tables, only ``record`` and the sequencer write
them, and a test's ``flush`` must not try to empty them.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.urls import reverse

from audit.events import KINDS, words
from audit.ids import uuid7


class Event(models.Model):
    """One recorded event: its exact bytes and the columns copied from them for searching."""

    id = models.UUIDField(primary_key=True)
    decision_id = models.UUIDField(null=True)
    kind = models.TextField()
    at = models.DateTimeField()
    body = models.BinaryField()
    leaf = models.BinaryField()
    actor = models.TextField()
    object_type = models.TextField()
    object_id = models.TextField()
    request_id = models.TextField()
    result = models.TextField()
    reason = models.TextField()

    class Meta:
        managed = False
        db_table = '"audit"."event"'

    def __str__(self) -> str:
        return self.words

    def get_absolute_url(self) -> str:
        return reverse("audit-event", args=[self.id])

    @cached_property
    def entry(self) -> dict[str, Any]:
        """The decoded body."""
        decoded: dict[str, Any] = json.loads(bytes(self.body))
        return decoded

    @cached_property
    def words(self) -> str:
        return words(self.entry)

    @property
    def group(self) -> str:
        known = KINDS.get(self.kind)
        return known.group if known else "log"

    @cached_property
    def pretty(self) -> str:
        return json.dumps(self.entry, indent=2, ensure_ascii=False, sort_keys=True)


class Leaf(models.Model):
    """The place of an event in the Merkle tree."""

    seq = models.BigIntegerField(primary_key=True)
    event_id = models.UUIDField(unique=True)
    leaf = models.BinaryField()

    class Meta:
        managed = False
        db_table = '"audit"."leaf"'


class Checkpoint(models.Model):
    """A signed head of the tree."""

    size = models.BigIntegerField(primary_key=True)
    root = models.BinaryField()
    frontier = models.BinaryField()
    note = models.TextField()
    at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = '"audit"."checkpoint"'

    @property
    def root_hex(self) -> str:
        return bytes(self.root).hex()


class SigningKey(models.Model):
    """A public key that signed checkpoints, and from which size to which."""

    vkey = models.TextField(primary_key=True)
    name = models.TextField()
    state = models.TextField()
    from_size = models.BigIntegerField()
    to_size = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = '"audit"."key"'


class JobState(models.TextChoices):
    WAITING = "waiting", "waiting to start"
    RUNNING = "running", "running"
    READY = "ready", "ready"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


ENDED = (JobState.READY, JobState.FAILED, JobState.CANCELLED)


def _new_id() -> UUID:
    return uuid7()


class Job(models.Model):
    """Long work that a person asked for, with its progress."""

    id = models.UUIDField(primary_key=True, default=_new_id, editable=False)
    state = models.CharField(max_length=10, choices=JobState, default=JobState.WAITING)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    problem = models.TextField(blank=True)

    class Meta:
        abstract = True

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def percent(self) -> int:
        if self.state == JobState.READY:
            return 100
        return min(99, self.done * 100 // self.total) if self.total else 0


class Report(Job):
    """A compliance report over a period, built on one fixed checkpoint."""

    period_from = models.DateTimeField()
    period_to = models.DateTimeField()
    scope = models.JSONField(default=dict, blank=True)
    # Counts how often it was begun; an overtaken worker sees another number and stops.
    tries = models.PositiveSmallIntegerField(default=0)
    # What the auditor's sample is drawn by; empty for the end root.
    seed = models.CharField(max_length=64, blank=True)
    is_scheduled = models.BooleanField(default=False)
    # Fixed when the work begins, so that a repeated run gives the same bytes.
    start_size = models.BigIntegerField(null=True)
    end_size = models.BigIntegerField(null=True)
    path = models.CharField(max_length=200, blank=True)
    bytes = models.BigIntegerField(default=0)
    digest = models.CharField(max_length=71, blank=True)
    entries = models.BigIntegerField(default=0)

    class Meta:
        db_table = "audit_report"
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(
                condition=Q(period_from__lt=models.F("period_to")), name="report_period_is_a_period"
            ),
            models.CheckConstraint(
                condition=Q(start_size__lte=models.F("end_size")), name="report_sizes_in_order"
            ),
            models.UniqueConstraint(
                fields=["period_from", "period_to"],
                condition=Q(is_scheduled=True) & ~Q(state__in=["failed", "cancelled"]),
                name="report_scheduled_once",
            ),
        ]

    def __str__(self) -> str:
        return f"report {self.period_from:%Y-%m-%d} to {self.period_to:%Y-%m-%d}"

    def get_absolute_url(self) -> str:
        return reverse("report", args=[self.id])


class Verification(Job):
    """One recomputation of the whole ledger from the database."""

    size = models.BigIntegerField(default=0)
    root = models.CharField(max_length=64, blank=True)
    is_ok = models.BooleanField(null=True)
    sentence = models.TextField(blank=True)

    class Meta:
        db_table = "audit_verification"
        ordering = ("-id",)
        constraints = [
            # At most one at a time: a second press of the button finds the first one running.
            models.UniqueConstraint(
                models.Value(1),
                condition=Q(state__in=["waiting", "running"]),
                name="verification_one_at_a_time",
            )
        ]
