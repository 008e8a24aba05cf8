"""A route: one API or workflow that applications call by its slug."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.urls import reverse


class Route(models.Model):
    class Capture(models.TextChoices):
        NONE = "none", "nothing"
        COMMITMENT = "commitment", "a commitment only"
        ENCRYPTED = "encrypted", "encrypted"

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=300, blank=True)
    owner = models.CharField(max_length=100)
    data_class = models.CharField(max_length=20, default="internal")
    capture = models.CharField(max_length=10, choices=Capture, default=Capture.NONE)
    enabled = models.BooleanField(default=True)
    slo_p95_ms = models.PositiveIntegerField(default=4000)
    # What the same traffic would have used without routing; savings are measured against it.
    baseline = models.ForeignKey(
        "routing.Backend", null=True, on_delete=models.PROTECT, related_name="+"
    )
    rollout_pct = models.PositiveSmallIntegerField(default=100)
    # What a promotion has to prove, and how its rollout goes; empty means the standing terms.
    gate = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("slug",)
        constraints = [
            models.CheckConstraint(condition=~Q(owner=""), name="route_has_an_owner"),
            models.CheckConstraint(
                condition=Q(rollout_pct__lte=100), name="rollout_is_a_percentage"
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    def get_absolute_url(self) -> str:
        return reverse("route", args=[self.slug])
