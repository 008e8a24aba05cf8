"""Requests that a route keeps for trying out its versions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from routing.models.routes import Route


class SavedExample(models.Model):
    """Signals of a request, under a name. Its text is kept only where the author invented it."""

    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="examples")
    name = models.CharField(max_length=80)
    is_invented = models.BooleanField(default=False)
    prompt = models.TextField(blank=True)
    # Data class, client, step and what the request needs, as the form sent them.
    request = models.JSONField(default=dict)
    # Which classifier gave gain, score and unfamiliar among the signals; empty where none did.
    classifier = models.CharField(max_length=80, blank=True)
    signals = models.JSONField(default=dict)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=("route", "name"), name="one_example_of_a_name"),
            models.CheckConstraint(
                condition=Q(is_invented=True) | Q(prompt=""), name="only_an_invented_text_is_kept"
            ),
        ]

    def __str__(self) -> str:
        return self.name
