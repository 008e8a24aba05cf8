"""What the running replicas are told, and what each has acknowledged."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class SnapshotRevision(models.Model):
    """One row. Triggers on every table of the snapshot raise it, so no writer can forget to."""

    revision = models.BigIntegerField(default=0)


class Replica(models.Model):
    name = models.CharField(max_length=100, primary_key=True)
    revision = models.BigIntegerField()
    digest = models.CharField(max_length=71)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    # Why a newer snapshot is refused while this one goes on; empty when none is.
    refused = models.TextField(blank=True, default="", db_default="")

    class Meta:
        ordering = ("name",)


class KillSwitch(models.Model):
    """Stops traffic at once: to public backends, to one backend, or of one route."""

    class Scope(models.TextChoices):
        PUBLIC = "public", "all public traffic"
        BACKEND = "backend", "one backend"
        ROUTE = "route", "one route"

    scope = models.CharField(max_length=7, choices=Scope)
    target = models.CharField(max_length=64, blank=True)
    reason = models.TextField()
    engaged_at = models.DateTimeField(auto_now_add=True)
    engaged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    released_at = models.DateTimeField(null=True)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ("-engaged_at",)
        constraints = [
            models.UniqueConstraint(
                fields=("scope", "target"),
                condition=models.Q(released_at__isnull=True),
                name="one_engaged_switch_per_target",
            )
        ]
