"""What a key or a route may use, and what it has used by what the ledger says."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

# Fields of a budget by what they count; empty means no limit.
RATES = ("requests_per_minute", "tokens_per_minute")
PERIODS = ("day", "month")
COUNTED = ("requests", "tokens", "usd")
LIMITS = (*RATES, *(f"{what}_{period}" for what in COUNTED for period in PERIODS))


class Budget(models.Model):
    """Limits of one key (by its public id) or one route (by its slug); days and months are UTC."""

    class Scope(models.TextChoices):
        KEY = "key", "API key"
        ROUTE = "route", "route"

    scope = models.CharField(max_length=5, choices=Scope)
    target = models.CharField(max_length=64)
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    requests_day = models.PositiveBigIntegerField(null=True, blank=True)
    requests_month = models.PositiveBigIntegerField(null=True, blank=True)
    tokens_day = models.PositiveBigIntegerField(null=True, blank=True)
    tokens_month = models.PositiveBigIntegerField(null=True, blank=True)
    usd_day = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    usd_month = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("scope", "target")
        constraints = [
            models.UniqueConstraint(fields=("scope", "target"), name="one_budget_per_target"),
            models.CheckConstraint(
                condition=(Q(usd_day__isnull=True) | Q(usd_day__gte=0))
                & (Q(usd_month__isnull=True) | Q(usd_month__gte=0)),
                name="budget_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.target}"


class Spend(models.Model):
    """What one key used on one route in one day (UTC): every attempt, failed ones too.

    Kept by the follower of the ledger in the transaction that moves its place, so that each
    decision counts once.
    """

    client_id = models.CharField(max_length=16)
    route = models.CharField(max_length=64)
    day = models.DateField()
    requests = models.BigIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    usd = models.DecimalField(max_digits=20, decimal_places=9, default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=("client_id", "route", "day"), name="one_spend_per_key_route_and_day"
            )
        ]
        indexes = [models.Index(fields=("route", "day"), name="spend_by_route")]
