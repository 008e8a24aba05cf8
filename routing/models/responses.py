"""Responses that run without a connection, kept for whoever asked until they are fetched."""

from __future__ import annotations

from django.db import models


class StoredResponse(models.Model):
    """One background response. Its text is a payload: encrypted, and erased when its time is up.

    A held one stays ``held`` here: what became of it is in its hold, and only there.
    """

    class State(models.TextChoices):
        IN_PROGRESS = "in_progress", "in progress"
        HELD = "held", "waits for a person"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    decision_id = models.UUIDField(primary_key=True)
    client_id = models.CharField(max_length=16)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=11, choices=State, default=State.IN_PROGRESS)
    # The response object: as it began, and then as it ended.
    payload = models.UUIDField()
    # The hold that it waits on: its own, or that of the request which it repeats.
    held_by = models.UUIDField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=("expires_at",), name="response_expires"),
        ]
