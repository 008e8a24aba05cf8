"""What screens read of decisions (projected from the ledger), and the holds that people answer."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.urls import reverse


class Decision(models.Model):
    """One line per decision, projected from the ledger in its order and rebuildable from it.

    Kept in months by the time in its id. Its triggers count it into Traffic and Speed.
    """

    class Outcome(models.TextChoices):
        OPEN = "open", "in progress"
        SERVED = "served", "served"
        SAFE_DEFAULT = "safe_default", "safe default"
        HELD = "held", "held"
        REFUSED = "refused", "refused"
        FAILED = "failed", "failed"
        ABORTED = "aborted", "aborted"
        BLOCKED = "blocked", "blocked"
        UNKNOWN = "outcome_unknown", "outcome unknown"

    id = models.UUIDField(primary_key=True)
    at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    route = models.CharField(max_length=64)
    client = models.CharField(max_length=100)
    client_id = models.CharField(max_length=16)
    request_id = models.CharField(max_length=128)
    session = models.CharField(max_length=64, blank=True)
    policy = models.CharField(max_length=80)
    policy_digest = models.CharField(max_length=71)
    rule = models.CharField(max_length=64)
    cause = models.CharField(max_length=32)
    action = models.CharField(max_length=12)
    outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.OPEN)
    tier = models.CharField(max_length=3, blank=True)
    backend = models.CharField(max_length=64, blank=True)
    boundary = models.CharField(max_length=8, blank=True)
    data_class = models.CharField(max_length=20)
    streamed = models.BooleanField(default=False)
    prompt_bytes = models.PositiveIntegerField(default=0)
    sentence = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    usage_source = models.CharField(max_length=10, blank=True)
    cost_usd = models.DecimalField(max_digits=16, decimal_places=9, null=True)
    baseline_cost_usd = models.DecimalField(max_digits=16, decimal_places=9, null=True)
    overhead_us = models.PositiveIntegerField(null=True)
    first_token_ms = models.PositiveIntegerField(null=True)
    total_ms = models.PositiveIntegerField(null=True)
    error_code = models.CharField(max_length=40, blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = [
            models.Index(fields=("route", "-id"), name="decision_by_route"),
            models.Index(fields=("client_id", "-id"), name="decision_by_client"),
            models.Index(fields=("rule", "-id"), name="decision_by_rule"),
            models.Index(fields=("backend", "-id"), name="decision_by_backend"),
            models.Index(fields=("request_id",), name="decision_by_request"),
            models.Index(
                fields=("session", "-id"), condition=~Q(session=""), name="decision_by_session"
            ),
            # What most decisions are needs no index; the few others would be sought everywhere.
            models.Index(
                fields=("outcome", "-id"),
                condition=~Q(outcome__in=("served", "open")),
                name="decision_by_outcome",
            ),
            models.Index(
                fields=("cause", "-id"), condition=~Q(cause="rule_match"), name="decision_by_cause"
            ),
            models.Index(
                fields=("backend", "-id"), condition=~Q(error_code=""), name="decision_with_error"
            ),
            models.Index(
                fields=("deadline_at",), condition=Q(outcome="open"), name="decision_without_end"
            ),
        ]

    def get_absolute_url(self) -> str:
        return reverse("decision", args=[self.id])


class Projection(models.Model):
    """How far a read model has followed the ledger. Position and rows move in one transaction."""

    name = models.CharField(max_length=40, primary_key=True)
    position = models.BigIntegerField(default=-1)


class Hold(models.Model):
    """A request that waits for a person. The recorder writes it in the commit of its decision."""

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        ANSWERED = "answered", "answered"
        EXPIRED = "expired", "expired"
        CANCELLED = "cancelled", "cancelled"

    class Delivery(models.TextChoices):
        WAITING = "waiting", "client waits"
        DELIVERED = "delivered", "delivered"
        STORED = "stored", "stored"
        CLIENT_GONE = "client_gone", "client gone"

    class Disposition(models.TextChoices):
        ANSWER = "answer", "an answer"
        SAFE_DEFAULT = "safe_default", "safe default"
        REFUSE = "refuse", "refused"
        PENDING = "pending", "still pending"

    decision_id = models.UUIDField(primary_key=True)
    opened_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    route = models.CharField(max_length=64)
    policy = models.CharField(max_length=80)
    rule = models.CharField(max_length=64)
    queue = models.CharField(max_length=64)
    data_class = models.CharField(max_length=20)
    client = models.CharField(max_length=100)
    client_id = models.CharField(max_length=16, default="")
    sentence = models.TextField()
    on_timeout = models.CharField(
        max_length=12, choices=Disposition, default=Disposition.SAFE_DEFAULT
    )
    safe_text = models.TextField(blank=True)
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    delivery = models.CharField(max_length=11, choices=Delivery, default=Delivery.WAITING)
    request_payload = models.UUIDField()
    candidate_payload = models.UUIDField(null=True)
    candidate_backend = models.CharField(max_length=64, blank=True)
    candidate_state = models.CharField(max_length=12, default="none")
    answer_payload = models.UUIDField(null=True)
    disposition = models.CharField(max_length=12, choices=Disposition, blank=True)
    answered_at = models.DateTimeField(null=True)
    # Repeats of one request are one case; emptied when the time for repeating has passed.
    dedupe_key = models.CharField(max_length=64)
    repeats_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ("deadline_at",)
        indexes = [
            models.Index(
                fields=("deadline_at",), condition=Q(state="waiting"), name="hold_waiting"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=("dedupe_key",),
                condition=Q(repeats_until__isnull=False),
                name="hold_repeats_once",
            ),
        ]
