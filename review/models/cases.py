"""A case is what a person works on; the hold behind it is what the client waits for."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from review import rules


class Case(models.Model):
    class State(models.TextChoices):
        PENDING = "pending", "waiting"
        CLAIMED = "claimed", "claimed"
        AWAITING_SECOND = "awaiting_second", "awaiting a second reviewer"
        REPLAYING = "replaying", "replaying"
        RESOLVED = "resolved", "resolved"
        EXPIRED = "expired", "expired"
        CANCELLED = "cancelled", "cancelled"
        SUPERSEDED = "superseded", "superseded"

    class Priority(models.IntegerChoices):
        LIVE = 0, "P0 live hold"
        HIGH = 1, "P1 high risk"
        NORMAL = 2, "P2 normal"
        SAMPLE = 3, "P3 quality sample"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hold = models.OneToOneField(
        "routing.Hold", null=True, on_delete=models.PROTECT, related_name="case"
    )
    decision_id = models.UUIDField(db_index=True)
    route = models.CharField(max_length=64)
    policy = models.CharField(max_length=80)
    rule = models.CharField(max_length=64)
    queue = models.CharField(max_length=64)
    data_class = models.CharField(max_length=20)
    client = models.CharField(max_length=100)
    why = models.TextField()
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.LIVE)
    level = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    # Raised by every transition; an update names the version it saw, so nobody acts on an old page.
    version = models.PositiveIntegerField(default=1)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField()
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    claimed_at = models.DateTimeField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    lease_losses = models.PositiveSmallIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("priority", "due_at", "id")
        indexes = [
            models.Index(
                fields=("priority", "due_at", "id"), condition=Q(state="pending"), name="case_next"
            ),
            models.Index(
                fields=("priority", "due_at", "id"),
                condition=Q(state__in=("awaiting_second", "claimed", "pending", "replaying")),
                name="case_open",
            ),
            models.Index(fields=("claimed_by", "due_at"), name="case_of_reviewer"),
            models.Index(fields=("-ended_at",), name="case_ended"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="claimed")
                | (Q(claimed_by__isnull=False) & Q(lease_expires_at__isnull=False)),
                name="claimed_case_has_a_holder_and_a_lease",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True)
                | Q(state__in=("resolved", "expired", "cancelled", "superseded")),
                name="only_an_ended_case_has_an_end",
            ),
        ]

    def __str__(self) -> str:
        return f"case {self.short_id}"

    def get_absolute_url(self) -> str:
        return reverse("case", args=[self.id])

    @property
    def short_id(self) -> str:
        # The tail, as the audit trail writes it.
        return str(self.id)[-8:]

    @property
    def has_ended(self) -> bool:
        return self.state in rules.ENDS

    def is_held_by(self, person: Any, now: datetime) -> bool:
        """Whether this person holds a claim that still runs."""
        return (
            self.state == self.State.CLAIMED
            and self.claimed_by_id == person.pk
            and not self.lease_is_over(now)
        )

    def lease_is_over(self, now: datetime) -> bool:
        return (
            self.state == self.State.CLAIMED
            and self.lease_expires_at is not None
            and self.lease_expires_at <= now
        )

    @property
    def ending(self) -> str:
        """How it ended and by whom, as a sentence without a subject of its own; empty before."""
        if self.state == self.State.RESOLVED:
            verdict = self.verdicts.select_related("by").last()
            return f"{verdict.by} decided it ({verdict.get_kind_display()})." if verdict else ""
        return {
            self.State.EXPIRED: "nobody decided in time.",
            self.State.CANCELLED: "the client took its request back.",
            self.State.SUPERSEDED: "the policy or its target changed, and it was routed anew.",
        }.get(self.State(self.state), "")


class CaseVerdict(models.Model):
    """What one reviewer decided. The texts are payloads; here is only the act and its reason."""

    class Kind(models.TextChoices):
        APPROVE = "approve", "approved"
        EDIT = "edit", "edited and approved"
        SAFE_DEFAULT = "safe_default", "safe default"
        REFUSE = "refuse", "refused"

    class Reason(models.TextChoices):
        FACTUALLY_WRONG = "factually_wrong", "factually wrong"
        UNSAFE = "unsafe", "unsafe"
        OFF_POLICY = "off_policy", "off policy"
        WRONG_FORMAT = "wrong_format", "wrong format"
        INCOMPLETE = "incomplete", "incomplete"
        PERSONAL_DATA = "personal_data", "personal data"
        TONE = "tone", "tone"
        WRONG_ROUTE = "wrong_route", "wrong route"
        DUPLICATE = "duplicate", "duplicate"
        TEST = "test", "test"
        OTHER = "other", "other"

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="verdicts")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind)
    reason_code = models.CharField(max_length=16, choices=Reason, blank=True)
    reason = models.TextField(blank=True)
    level = models.PositiveSmallIntegerField(default=1)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("at",)
        constraints = [
            models.UniqueConstraint(fields=("case", "by", "level"), name="one_verdict_per_level"),
            models.CheckConstraint(
                condition=Q(kind="approve") | ~Q(reason_code=""),
                name="all_but_approval_need_a_reason_code",
            ),
        ]
