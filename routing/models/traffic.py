"""What screens read instead of the decisions themselves: counts and speeds per slot of time.

Triggers of the decision list keep both, in the statement that writes it; nothing else does.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Span(models.IntegerChoices):
    """How long a slot is, in minutes."""

    FIVE_MINUTES = 5, "five minutes"
    HOUR = 60, "hour"
    DAY = 1440, "day"


class Traffic(models.Model):
    """How many decisions of one kind began in a slot and have ended, and what they cost."""

    # The digest of the words below: twelve columns of text would make a wide key.
    pk = models.CompositePrimaryKey("span", "slot", "key")
    span = models.PositiveSmallIntegerField(choices=Span)
    slot = models.DateTimeField()
    key = models.UUIDField()
    route = models.CharField(max_length=64)
    policy = models.CharField(max_length=80)
    rule = models.CharField(max_length=64)
    cause = models.CharField(max_length=32)
    action = models.CharField(max_length=12)
    outcome = models.CharField(max_length=16)
    tier = models.CharField(max_length=3, blank=True)
    backend = models.CharField(max_length=64, blank=True)
    boundary = models.CharField(max_length=8, blank=True)
    data_class = models.CharField(max_length=20)
    n = models.BigIntegerField()
    attempts = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cost_usd = models.DecimalField(max_digits=20, decimal_places=9)
    # The cost of those that have a baseline: only that may be set against the baseline's.
    compared_cost_usd = models.DecimalField(max_digits=20, decimal_places=9)
    baseline_cost_usd = models.DecimalField(max_digits=20, decimal_places=9)
    last_at = models.DateTimeField()


class Speed(models.Model):
    """How long the requests of a slot took, as counts of 82 classes a quarter of an octave wide.

    `*` stands for all routes, or for all routes and backends.
    """

    class Measure(models.TextChoices):
        TOTAL = "total_ms", "to the end of the answer"
        FIRST_TOKEN = "first_token_ms", "to the first token"
        OVERHEAD = "overhead_us", "the router itself"

    pk = models.CompositePrimaryKey("span", "slot", "route", "backend", "measure")
    span = models.PositiveSmallIntegerField(choices=Span)
    slot = models.DateTimeField()
    route = models.CharField(max_length=64)
    backend = models.CharField(max_length=64, blank=True)
    measure = models.CharField(max_length=14, choices=Measure)
    counts = ArrayField(models.IntegerField())
