"""Addresses that are told when a response ended or a case is due, and the outbox to them."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import models
from django.db.models import Q
from django.urls import reverse


class WebhookEvent(models.TextChoices):
    COMPLETED = "response.completed", "response.completed"
    FAILED = "response.failed", "response.failed"
    INCOMPLETE = "response.incomplete", "response.incomplete"
    CANCELLED = "response.cancelled", "response.cancelled"
    CASE_DUE = "review.case_due", "review.case_due"
    REPORT_READY = "report.ready", "report.ready"


# Sent by hand to see whether an address listens; nobody subscribes to it.
TEST_EVENT = "webhook.test"


class WebhookEndpoint(models.Model):
    """One address of one application. It belongs to the line of a key, so rotation keeps it."""

    class State(models.TextChoices):
        ACTIVE = "active", "active"
        DISABLED = "disabled", "disabled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Public id of the first key of the line.
    client_line = models.CharField(max_length=16, db_index=True)
    client = models.CharField(max_length=100)
    url = models.CharField(max_length=500)
    description = models.CharField(max_length=200, blank=True)
    events = models.JSONField(default=list)
    secret_sealed = models.BinaryField()
    secret_set_at = models.DateTimeField()
    # During a rotation both secrets sign.
    old_secret_sealed = models.BinaryField(null=True)
    old_secret_until = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.ACTIVE)
    disabled_at = models.DateTimeField(null=True)
    disabled_why = models.CharField(max_length=300, blank=True)
    is_disabled_by_system = models.BooleanField(default=False)
    failures_in_a_row = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("client", "-created_at")
        constraints = [
            models.CheckConstraint(
                condition=Q(old_secret_sealed__isnull=True, old_secret_until__isnull=True)
                | Q(old_secret_sealed__isnull=False, old_secret_until__isnull=False),
                name="webhook_old_secret_has_an_end",
            ),
        ]

    def __str__(self) -> str:
        return self.url

    def get_absolute_url(self) -> str:
        return reverse("webhook", args=[self.pk])

    @property
    def is_active(self) -> bool:
        return self.state == self.State.ACTIVE

    def signs_twice(self, now: datetime) -> bool:
        return self.old_secret_until is not None and self.old_secret_until > now


class WebhookDelivery(models.Model):
    """One message to one address. Its id is the ``webhook-id``, the same at every try."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        DELIVERED = "delivered", "delivered"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True)
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.PROTECT, related_name="deliveries"
    )
    event = models.CharField(max_length=24)
    # The decision that it is about; nothing for a test.
    decision_id = models.UUIDField(null=True)
    # As it is signed and sent, byte for byte. It holds no text of a request or an answer.
    body = models.TextField()
    state = models.CharField(max_length=9, choices=State, default=State.PENDING)
    created_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    # While it is being sent, this is when the sender counts as lost.
    next_try_at = models.DateTimeField(null=True)
    last_try_at = models.DateTimeField(null=True)
    last_status = models.PositiveSmallIntegerField(null=True)
    last_problem = models.CharField(max_length=300, blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [
            models.Index(
                fields=("next_try_at",), condition=Q(state="pending"), name="webhook_delivery_due"
            ),
            models.Index(fields=("endpoint", "-created_at"), name="webhook_delivery_by_endpoint"),
            models.Index(fields=("-created_at", "-id"), name="webhook_delivery_newest"),
            models.Index(fields=("ended_at",), name="webhook_delivery_ended"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="pending", next_try_at__isnull=False, ended_at__isnull=True)
                | (~Q(state="pending") & Q(next_try_at__isnull=True, ended_at__isnull=False)),
                name="webhook_delivery_waits_or_has_ended",
            ),
        ]

    def __str__(self) -> str:
        return self.webhook_id

    def get_absolute_url(self) -> str:
        return reverse("webhook-delivery", args=[self.pk])

    @property
    def webhook_id(self) -> str:
        return f"msg_{self.pk.hex}"
