"""Issued versions of the data-flow document: frozen, numbered, with their digest."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse


class DataFlowIssue(models.Model):
    number = models.PositiveIntegerField(unique=True)
    document = models.JSONField()
    digest = models.CharField(max_length=71)
    note = models.CharField(max_length=500)
    issued_at = models.DateTimeField()
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ("-number",)
        constraints = [
            models.CheckConstraint(condition=~models.Q(note=""), name="issue_has_a_note"),
        ]

    def __str__(self) -> str:
        return f"data-flow@{self.number}"

    def get_absolute_url(self) -> str:
        return reverse("data-flow-issue", args=[self.number])
