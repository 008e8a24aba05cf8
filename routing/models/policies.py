"""Policy versions and the verdicts on them. A submitted version never changes again."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from routing.models.routes import Route


class PolicyVersion(models.Model):
    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        IN_REVIEW = "in_review", "in review"
        APPROVED = "approved", "approved"
        SCHEDULED = "scheduled", "scheduled"
        ACTIVE = "active", "active"
        RETIRED = "retired", "retired"
        REJECTED = "rejected", "rejected"
        WITHDRAWN = "withdrawn", "withdrawn"
        ROLLED_BACK = "rolled_back", "rolled back"

    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    document = models.JSONField()
    digest = models.CharField(max_length=71)
    summary = models.CharField(max_length=300, blank=True)
    base = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    revision = models.PositiveIntegerField(default=1)
    approvals_needed = models.PositiveSmallIntegerField(default=1)
    # Why two approvers are needed, as found when it was submitted: code and words of each reason.
    approval_reasons = models.JSONField(default=list)
    rebased_from = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="rebased_as"
    )
    # Changes that a rebase could not carry over by itself, until the author has settled them.
    conflicts = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    submitted_at = models.DateTimeField(null=True)
    approved_at = models.DateTimeField(null=True)
    scheduled_for = models.DateTimeField(null=True)
    scheduled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    schedule_reason = models.CharField(max_length=500, blank=True)
    suspended_at = models.DateTimeField(null=True)
    suspended_why = models.CharField(max_length=400, blank=True)
    activated_at = models.DateTimeField(null=True)
    activated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    retired_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("route", "-number")
        constraints = [
            models.UniqueConstraint(fields=("route", "number"), name="version_number_is_unique"),
            models.UniqueConstraint(
                fields=("route",), condition=Q(state="active"), name="one_active_version_per_route"
            ),
            models.UniqueConstraint(
                fields=("route", "author"), condition=Q(state="draft"), name="one_draft_per_author"
            ),
            models.CheckConstraint(
                condition=Q(approvals_needed__gte=1, approvals_needed__lte=2),
                name="one_or_two_approvers",
            ),
            models.CheckConstraint(
                condition=Q(
                    state="scheduled", scheduled_for__isnull=False, scheduled_by__isnull=False
                )
                | (~Q(state="scheduled") & Q(scheduled_for__isnull=True)),
                name="only_a_scheduled_version_has_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("in_review", "rejected")) | Q(submitted_at__isnull=False),
                name="a_judged_version_was_submitted",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("approved", "scheduled")) | Q(approved_at__isnull=False),
                name="an_approved_version_says_when",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("active", "retired", "rolled_back"))
                | Q(activated_at__isnull=False, activated_by__isnull=False),
                name="an_active_version_says_since_when",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("retired", "rolled_back")) | Q(retired_at__isnull=False),
                name="a_retired_version_says_when",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("draft", "in_review", "rejected", "withdrawn"))
                | Q(activated_at__isnull=True),
                name="what_ended_early_was_never_active",
            ),
            models.CheckConstraint(
                condition=Q(state__in=("draft", "withdrawn")) | Q(conflicts=[]),
                name="conflicts_are_settled_before_submission",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.route.slug}@{self.number}"

    def get_absolute_url(self) -> str:
        return reverse("version", args=[self.route.slug, self.number])


class PolicyApproval(models.Model):
    """One person's verdict on one digest. An edit makes a new version, so it can never be stale."""

    class Verdict(models.TextChoices):
        APPROVE = "approve", "approved"
        REQUEST_CHANGES = "request_changes", "changes requested"
        REJECT = "reject", "rejected"

    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="approvals")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=16, choices=Verdict)
    comment = models.TextField()
    digest = models.CharField(max_length=71)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("at",)
        constraints = [
            models.UniqueConstraint(fields=("version", "by"), name="one_verdict_per_person"),
            models.CheckConstraint(condition=~Q(comment=""), name="verdict_has_a_reason"),
        ]
