"""A version decided again over recorded decisions, and which of them would come out otherwise."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from audit.ids import uuid7
from routing.models.policies import PolicyVersion


def _new_id() -> UUID:
    return uuid7()


class Backtest(models.Model):
    """One run. ``digest`` and ``registry_digest`` say what it is true of; both may go stale."""

    class State(models.TextChoices):
        QUEUED = "queued", "waiting to start"
        RUNNING = "running", "running"
        DONE = "done", "done"
        CANCELLED = "cancelled", "cancelled"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=_new_id, editable=False)
    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="backtests")
    digest = models.CharField(max_length=71)
    registry_digest = models.CharField(max_length=71)
    since = models.DateTimeField()
    until = models.DateTimeField()
    # How many decisions at most, drawn evenly; None takes every one of the window.
    sample = models.PositiveIntegerField(null=True)
    in_window = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    problem = models.CharField(max_length=300, blank=True)
    requested_by = models.CharField(max_length=150)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # Who took note of the guardrails that decisions would cross; without it no submission.
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_why = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(condition=Q(since__lt=models.F("until")), name="window_is_one"),
        ]

    def get_absolute_url(self) -> str:
        return reverse("backtest", args=[self.version.route.slug, self.version.number, self.pk])

    @property
    def has_ended(self) -> bool:
        return self.state in (self.State.DONE, self.State.CANCELLED, self.State.FAILED)

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // self.total) if self.total else 0


class BacktestChange(models.Model):
    """One decision of a bucket: what came then, what would come now. The trace is decided again."""

    backtest = models.ForeignKey(Backtest, on_delete=models.CASCADE, related_name="changes")
    decision_id = models.UUIDField()
    bucket = models.CharField(max_length=24)
    # Guardrails first, then the strictest data class: the list shows the gravest at the top.
    weight = models.PositiveSmallIntegerField()
    data_class = models.CharField(max_length=20)
    before = models.CharField(max_length=100)
    after = models.CharField(max_length=100)
    rule_before = models.CharField(max_length=64)
    rule_after = models.CharField(max_length=64)
    note = models.CharField(max_length=200, blank=True)
    guardrails = models.JSONField(default=list)

    class Meta:
        ordering = ("-weight", "-decision_id")
        constraints = [
            models.UniqueConstraint(
                fields=("backtest", "decision_id"), name="one_bucket_per_decision"
            ),
        ]
        indexes = [
            models.Index(
                fields=("backtest", "bucket", "-weight", "-decision_id"), name="backtest_bucket"
            ),
        ]
