"""What a reviewer may take: the queues they know and the data classes they are cleared for."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Reviewer(models.Model):
    """A person without a row knows every queue and is cleared for all but the highest class."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.PROTECT, related_name="+"
    )
    # Empty means every queue.
    queues = models.JSONField(default=list, blank=True)
    clearance = models.CharField(max_length=20)
    version = models.PositiveIntegerField(default=1)
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"reviewer {self.person}"
