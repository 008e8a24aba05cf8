"""Published classifiers, which never change again, and the trainings that make them."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse

from audit.ids import uuid7

NAME = RegexValidator(
    r"\A[a-z0-9]+(?:-[a-z0-9]+)*\Z", "Lower-case letters, digits and single hyphens."
)


def _new_id() -> UUID:
    return uuid7()


class Classifier(models.Model):
    """One version of one name. The artefact is what scores; the card is what is known of it."""

    class State(models.TextChoices):
        READY = "ready", "ready"
        RETIRED = "retired", "retired"

    name = models.CharField(max_length=60, validators=[NAME])
    version = models.PositiveIntegerField()
    digest = models.CharField(max_length=71)
    artefact = models.JSONField()
    card = models.JSONField()
    # Which questions it has seen, so that it is never judged by them.
    trained_groups = models.JSONField(default=list)
    state = models.CharField(max_length=8, choices=State, default=State.READY)
    created_by = models.CharField(max_length=150)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    retired_by = models.CharField(max_length=150, blank=True)
    retired_why = models.CharField(max_length=500, blank=True)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("name", "-version")
        constraints = [
            models.UniqueConstraint(fields=("name", "version"), name="classifier_version_is_unique")
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    def get_absolute_url(self) -> str:
        return reverse("classifier", args=[self.name, self.version])

    @property
    def is_enforceable(self) -> bool:
        return bool(self.card.get("verdict", {}).get("enforceable"))


class ClassifierProof(models.Model):
    """A measurement on labelled prompts of one pair. It never changes; the newest one counts.

    Without a classifier it is of the first one, which is part of the product; `digest` says which.
    """

    classifier = models.ForeignKey(
        Classifier, null=True, on_delete=models.PROTECT, related_name="proofs"
    )
    digest = models.CharField(max_length=71)
    small = models.CharField(max_length=200)
    large = models.CharField(max_length=200)
    data_digest = models.CharField(max_length=71)
    # Prompts that it was judged by: none of a question that it was trained on.
    rows = models.PositiveIntegerField()
    apgr = models.FloatField(null=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    metrics = models.JSONField(default=dict)
    recorded_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.small} and {self.large}"


class ClassifierTraining(models.Model):
    """One training as a job. The eval set holds prompts, so it is dropped when the job ends."""

    class State(models.TextChoices):
        QUEUED = "queued", "waiting to start"
        RUNNING = "running", "running"
        DONE = "done", "done"
        CANCELLED = "cancelled", "cancelled"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=_new_id, editable=False)
    name = models.CharField(max_length=60, validators=[NAME])
    options = models.JSONField(default=dict)
    evalset = models.BinaryField(default=b"")
    rows = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    step = models.CharField(max_length=120, blank=True)
    percent = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(max_length=500, blank=True)
    classifier = models.ForeignKey(
        Classifier, null=True, on_delete=models.PROTECT, related_name="trainings"
    )
    requested_by = models.CharField(max_length=150)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"training of {self.name}"

    def get_absolute_url(self) -> str:
        return reverse("classifier-training", args=[self.pk])

    @property
    def has_ended(self) -> bool:
        return self.state in (self.State.DONE, self.State.CANCELLED, self.State.FAILED)
