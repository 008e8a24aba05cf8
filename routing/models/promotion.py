"""Promotions with their frozen evidence, waivers, rollouts and what stopped them."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from audit.ids import uuid7
from routing.models.policies import PolicyVersion
from routing.models.routes import Route

PEOPLE = settings.AUTH_USER_MODEL


def _new_id() -> UUID:
    return uuid7()


class Waiver(models.Model):
    """A person answers for a check whose evidence is missing, until a date. Never taken back."""

    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="waivers")
    check_name = models.CharField(max_length=20)
    reason = models.CharField(max_length=500)
    by = models.ForeignKey(PEOPLE, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ("-at",)
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="waiver_has_a_reason"),
            models.CheckConstraint(
                condition=Q(expires_at__gt=models.F("at")), name="waiver_expires_later"
            ),
            models.CheckConstraint(
                condition=~Q(check_name="boundary"), name="nobody_waives_the_boundary"
            ),
        ]


class Promotion(models.Model):
    """One proposal to promote a version. Its evidence is canonical JSON and never changes."""

    class State(models.TextChoices):
        PROPOSED = "proposed", "waiting for approval"
        APPROVED = "approved", "approved"
        PROMOTED = "promoted", "promoted"
        WITHDRAWN = "withdrawn", "withdrawn"

    id = models.UUIDField(primary_key=True, default=_new_id, editable=False)
    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="promotions")
    incumbent = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=9, choices=State, default=State.PROPOSED)
    shadow_run = models.UUIDField(null=True)
    evidence = models.TextField()
    evidence_digest = models.CharField(max_length=71)
    approvals_needed = models.PositiveSmallIntegerField(default=1)
    # Why two approvals are needed: code and words of each reason.
    reasons = models.JSONField(default=list)
    proposed_by = models.ForeignKey(PEOPLE, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(auto_now_add=True)
    why = models.CharField(max_length=500)
    promoted_by = models.ForeignKey(PEOPLE, null=True, on_delete=models.PROTECT, related_name="+")
    promoted_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=("version",),
                condition=Q(state__in=("proposed", "approved")),
                name="one_open_promotion_per_version",
            ),
            models.CheckConstraint(
                condition=Q(approvals_needed__gte=1, approvals_needed__lte=2),
                name="one_or_two_approvals_promote",
            ),
            models.CheckConstraint(
                condition=Q(state="promoted", promoted_by__isnull=False, promoted_at__isnull=False)
                | (~Q(state="promoted") & Q(promoted_by__isnull=True, promoted_at__isnull=True)),
                name="a_promotion_says_by_whom",
            ),
        ]

    def __str__(self) -> str:
        return str(self.version)

    def get_absolute_url(self) -> str:
        return reverse("promote", args=[self.version.route.slug, self.version.number])


class PromotionApproval(models.Model):
    """One person's approval of one evidence. The author of the version gives none."""

    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="approvals")
    by = models.ForeignKey(PEOPLE, on_delete=models.PROTECT, related_name="+")
    evidence_digest = models.CharField(max_length=71)
    comment = models.CharField(max_length=500)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("at",)
        constraints = [
            models.UniqueConstraint(fields=("promotion", "by"), name="one_approval_per_person"),
            models.CheckConstraint(condition=~Q(comment=""), name="promotion_approval_says_why"),
        ]


class Rollout(models.Model):
    """One attempt to give a promoted version its traffic, step by step.

    While it runs below 100 %, the incumbent stays the route's active version and serves the rest.
    At the last step the candidate becomes active, and the rollout watches on until the bake ends.
    """

    class State(models.TextChoices):
        RUNNING = "running", "running"
        BAKING = "baking", "all traffic, still watched"
        DONE = "done", "done"
        ABORTED = "aborted", "aborted"

    LIVE = (State.RUNNING, State.BAKING)

    id = models.UUIDField(primary_key=True, default=_new_id, editable=False)
    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="rollouts")
    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="rollouts")
    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    baseline = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    attempt = models.PositiveSmallIntegerField()
    salt = models.CharField(max_length=64)
    steps = models.JSONField()
    step = models.PositiveSmallIntegerField(default=0)
    share = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    projected_usd = models.DecimalField(max_digits=16, decimal_places=9, null=True)
    started_by = models.ForeignKey(PEOPLE, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField()
    step_at = models.DateTimeField()
    # What each arm had counted before: attempt and step begin from there.
    counted_at_start = models.JSONField(default=dict)
    counted_at_step = models.JSONField(default=dict)
    # The unit follower's place in the decision list.
    followed_to = models.UUIDField(null=True)
    guards = models.JSONField(default=list)
    seen = models.JSONField(default=dict)
    watched_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=("route",),
                condition=Q(state__in=("running", "baking")),
                name="one_live_rollout_per_route",
            ),
            models.UniqueConstraint(fields=("promotion", "attempt"), name="attempts_are_numbered"),
            models.UniqueConstraint(fields=("salt",), name="a_salt_is_used_once"),
            models.CheckConstraint(
                condition=Q(share__gte=1, share__lte=100), name="rollout_share_is_a_percentage"
            ),
            models.CheckConstraint(
                condition=Q(state__in=("running", "baking")) | Q(ended_at__isnull=False),
                name="an_ended_rollout_says_when",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version}, attempt {self.attempt}"

    def get_absolute_url(self) -> str:
        return reverse("rollout", args=[self.route.slug])

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE


class RolloutUnit(models.Model):
    """A session or client that an attempt's current step has seen, once, with its arm."""

    pk = models.CompositePrimaryKey("rollout_id", "step", "unit")
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="+")
    step = models.PositiveSmallIntegerField()
    unit = models.CharField(max_length=64)
    treated = models.BooleanField()


class Incident(models.Model):
    """What stopped a rollout, with its figures; open until a person has taken note."""

    rollout = models.ForeignKey(Rollout, on_delete=models.PROTECT, related_name="incidents")
    guard = models.CharField(max_length=20)
    sentence = models.CharField(max_length=500)
    figures = models.JSONField(default=dict)
    at = models.DateTimeField()
    noted_by = models.ForeignKey(PEOPLE, null=True, on_delete=models.PROTECT, related_name="+")
    noted_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-at",)
