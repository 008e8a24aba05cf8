"""Signs that a person reads too little, and the pause that follows until a lead lifts it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from review.models.cases import Case


class HastyVerdict(models.Model):
    """An answer was to be released before its text could have been read; once a case and person."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    early_ms = models.PositiveIntegerField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=("by", "at"), name="hasty_of_reviewer")]
        constraints = [
            models.UniqueConstraint(fields=("case", "by"), name="one_hasty_per_case_and_person")
        ]


class ReviewerPause(models.Model):
    """While one is open its person claims nothing; what is claimed may still be decided."""

    class Why(models.TextChoices):
        HASTY = "hasty", "answers were to be released before they could have been read"

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    why = models.CharField(max_length=16, choices=Why)
    # The figures that it rests on, as they were.
    figures = models.JSONField(default=dict)
    since = models.DateTimeField(default=timezone.now)
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    lift_reason = models.TextField(blank=True)

    class Meta:
        ordering = ("-since",)
        constraints = [
            models.UniqueConstraint(
                fields=("person",), condition=Q(lifted_at__isnull=True), name="one_open_pause"
            ),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True)
                | (Q(lifted_by__isnull=False) & ~Q(lift_reason="")),
                name="a_pause_is_lifted_by_somebody_with_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"pause of {self.person}"
