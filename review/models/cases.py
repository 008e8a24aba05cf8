"""A case is what a person works on; the hold behind it is what the client waits for."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from review import rules


class Case(models.Model):
    class State(models.TextChoices):
        PENDING = "pending", "waiting"
        CLAIMED = "claimed", "claimed"
        AWAITING_SECOND = "awaiting_second", "awaiting a second reviewer"
        REPLAYING = "replaying", "replaying"
        RESOLVED = "resolved", "resolved"
        EXPIRED = "expired", "expired"
        CANCELLED = "cancelled", "cancelled"
        SUPERSEDED = "superseded", "superseded"

    class Priority(models.IntegerChoices):
        LIVE = 0, "P0 live hold"
        HIGH = 1, "P1 high risk"
        NORMAL = 2, "P2 normal"
        SAMPLE = 3, "P3 quality sample"

    class Stage(models.TextChoices):
        FIRST = "first", "first review"
        SECOND = "second", "second review"
        ADJUDICATION = "adjudication", "adjudication"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hold = models.OneToOneField(
        "routing.Hold", null=True, on_delete=models.PROTECT, related_name="case"
    )
    decision_id = models.UUIDField(db_index=True)
    route = models.CharField(max_length=64)
    policy = models.CharField(max_length=80)
    rule = models.CharField(max_length=64)
    queue = models.CharField(max_length=64)
    data_class = models.CharField(max_length=20)
    client = models.CharField(max_length=100)
    why = models.TextField()
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.LIVE)
    level = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    # Raised by every transition; an update names the version it saw, so nobody acts on an old page.
    version = models.PositiveIntegerField(default=1)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField()
    # The last stage of its time, in percent, that somebody was told of.
    reminded_percent = models.PositiveSmallIntegerField(default=0)
    stage = models.CharField(max_length=12, choices=Stage, default=Stage.FIRST)
    is_high_risk = models.BooleanField(default=False)
    # Whoever answers for the client, as its key said when the request was held.
    owner = models.CharField(max_length=100, blank=True)
    replays = models.PositiveSmallIntegerField(default=0)
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    claimed_at = models.DateTimeField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    # The last sign of life of the holder's page; it never shortens the lease.
    heartbeat_at = models.DateTimeField(null=True)
    # Its holder was shown the text; from then on an answer may be released.
    release_from = models.DateTimeField(null=True)
    shown_candidate = models.UUIDField(null=True)
    lease_losses = models.PositiveSmallIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("priority", "due_at", "id")
        indexes = [
            models.Index(
                fields=("priority", "due_at", "id"), condition=Q(state="pending"), name="case_next"
            ),
            models.Index(
                fields=("priority", "due_at", "id"),
                condition=Q(state__in=("awaiting_second", "claimed", "pending", "replaying")),
                name="case_open",
            ),
            models.Index(fields=("claimed_by", "due_at"), name="case_of_reviewer"),
            models.Index(fields=("-ended_at",), name="case_ended"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="claimed")
                | (Q(claimed_by__isnull=False) & Q(lease_expires_at__isnull=False)),
                name="claimed_case_has_a_holder_and_a_lease",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True)
                | Q(state__in=("resolved", "expired", "cancelled", "superseded")),
                name="only_an_ended_case_has_an_end",
            ),
        ]

    def __str__(self) -> str:
        return f"case {self.short_id}"

    def get_absolute_url(self) -> str:
        return reverse("case", args=[self.id])

    @property
    def short_id(self) -> str:
        # The tail, as the audit trail writes it.
        return str(self.id)[-8:]

    @property
    def has_ended(self) -> bool:
        return self.state in rules.ENDS

    def is_held_by(self, person: Any, now: datetime) -> bool:
        """Whether this person holds a claim that still runs."""
        return (
            self.state == self.State.CLAIMED
            and self.claimed_by_id == person.pk
            and not self.lease_is_over(now)
        )

    def lease_is_over(self, now: datetime) -> bool:
        return (
            self.state == self.State.CLAIMED
            and self.lease_expires_at is not None
            and self.lease_expires_at <= now
        )

    @property
    def ending(self) -> str:
        """How it ended and by whom, as a sentence without a subject of its own; empty before."""
        if self.state == self.State.RESOLVED:
            verdicts = list(self.verdicts.select_related("by"))
            if not verdicts:
                return ""
            last = verdicts[-1]
            who = [last.by] if last.stage == self.Stage.ADJUDICATION else [v.by for v in verdicts]
            # A second reviewer agreed with the first, whose verdict it is.
            said = (last if len(who) == 1 else verdicts[0]).get_kind_display()
            return f"{' and '.join(map(str, who))} decided it ({said})."
        return {
            self.State.EXPIRED: "nobody decided in time.",
            self.State.CANCELLED: "the client took its request back.",
            self.State.SUPERSEDED: "the policy or its target changed, and it was routed anew.",
        }.get(self.State(self.state), "")


class CaseVerdict(models.Model):
    """What one reviewer decided. The texts are payloads; here is only the act and its reason."""

    class Kind(models.TextChoices):
        APPROVE = "approve", "approved"
        EDIT = "edit", "edited and approved"
        CHOOSE = "choose", "another answer chosen"
        SAFE_DEFAULT = "safe_default", "safe default"
        REFUSE = "refuse", "refused"

    class Reason(models.TextChoices):
        FACTUALLY_WRONG = "factually_wrong", "factually wrong"
        UNSAFE = "unsafe", "unsafe"
        OFF_POLICY = "off_policy", "off policy"
        WRONG_FORMAT = "wrong_format", "wrong format"
        INCOMPLETE = "incomplete", "incomplete"
        PERSONAL_DATA = "personal_data", "personal data"
        TONE = "tone", "tone"
        WRONG_ROUTE = "wrong_route", "wrong route"
        DUPLICATE = "duplicate", "duplicate"
        TEST = "test", "test"
        OTHER = "other", "other"

    class Flag(models.TextChoices):
        RULE_WRONG = "rule_wrong", "the rule is wrong"
        THRESHOLD_TOO_LOW = "threshold_too_low", "a threshold is too low"
        THRESHOLD_TOO_HIGH = "threshold_too_high", "a threshold is too high"
        ADD_TO_EVAL_SET = "add_to_eval_set", "add it to the eval set"

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="verdicts")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind)
    reason_code = models.CharField(max_length=16, choices=Reason, blank=True)
    reason = models.TextField(blank=True)
    level = models.PositiveSmallIntegerField(default=1)
    stage = models.CharField(max_length=12, choices=Case.Stage, default=Case.Stage.FIRST)
    flags = models.JSONField(default=list, blank=True)
    # What it would release, where it releases an answer, and how far that is from the draft.
    answer_payload = models.UUIDField(null=True)
    commitment = models.CharField(max_length=80, blank=True)
    candidate_backend = models.CharField(max_length=64, blank=True)
    changed_permille = models.PositiveSmallIntegerField(null=True)
    open_ms = models.PositiveBigIntegerField(default=0)
    # Makes the digest of a verdict that is not told yet impossible to guess.
    nonce = models.CharField(max_length=32, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("at", "id")
        constraints = [
            models.UniqueConstraint(fields=("case", "by"), name="one_case_verdict_per_person"),
            models.UniqueConstraint(fields=("case", "stage"), name="one_case_verdict_per_stage"),
            models.CheckConstraint(
                condition=Q(kind="approve") | ~Q(reason_code=""),
                name="all_but_approval_need_a_reason_code",
            ),
        ]


class CaseCandidate(models.Model):
    """An answer that a reviewer had another backend give; the draft of the router is the hold's."""

    class State(models.TextChoices):
        MAKING = "making", "being made"
        READY = "ready", "ready"
        FAILED = "failed", "failed"

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="candidates")
    number = models.PositiveSmallIntegerField()
    backend = models.CharField(max_length=64)
    boundary = models.CharField(max_length=8)
    state = models.CharField(max_length=6, choices=State, default=State.MAKING)
    payload = models.UUIDField(null=True)
    problem = models.CharField(max_length=300, blank=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("case", "number")
        constraints = [
            models.UniqueConstraint(fields=("case", "number"), name="candidate_number_once"),
            models.CheckConstraint(
                condition=~Q(state="ready") | Q(payload__isnull=False),
                name="ready_candidate_has_a_text",
            ),
        ]

    def __str__(self) -> str:
        return f"answer {self.number} of {self.backend}"
