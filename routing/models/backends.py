"""The registry of model endpoints, their probes, and the sign-offs that open a public one."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse


class Tier(models.TextChoices):
    SLM = "slm", "small model (SLM)"
    LLM = "llm", "larger model (LLM)"


class Boundary(models.TextChoices):
    PRIVATE = "private", "private"
    PUBLIC = "public", "public"


class Backend(models.Model):
    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        ACTIVE = "active", "active"
        DRAINING = "draining", "draining"
        DISABLED = "disabled", "disabled"

    name = models.SlugField(max_length=64, unique=True)
    description = models.CharField(max_length=300, blank=True)
    owner = models.CharField(max_length=100)
    tier = models.CharField(max_length=3, choices=Tier)
    boundary = models.CharField(max_length=8, choices=Boundary, default=Boundary.PRIVATE)
    region = models.CharField(max_length=60, blank=True)
    base_url = models.URLField(max_length=300)
    upstream_model = models.CharField(max_length=200)
    # "env:NAME" or "file:/path"; the secret itself is never stored in this form.
    secret_ref = models.CharField(max_length=300, blank=True)
    # The other form: encrypted under a key outside the database, written and never shown.
    secret_sealed = models.BinaryField(null=True)
    secret_fingerprint = models.CharField(max_length=16, blank=True)
    secret_set_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.DRAFT)
    data_classes = models.JSONField(default=list)
    capabilities = models.JSONField(default=list)
    context_window = models.PositiveIntegerField(default=8192)
    max_output_tokens = models.PositiveIntegerField(default=1024)
    max_in_flight = models.PositiveIntegerField(default=64)
    # Money is Decimal; the version says which price list a recorded cost was computed with.
    input_usd_per_mtok = models.DecimalField(max_digits=12, decimal_places=6)
    output_usd_per_mtok = models.DecimalField(max_digits=12, decimal_places=6)
    price_version = models.PositiveIntegerField(default=1)
    # Who processes what is sent to a public backend; a sign-off is asked for with these known.
    processor = models.CharField(max_length=120, blank=True)
    processor_country = models.CharField(max_length=60, blank=True)
    processor_contract = models.CharField(max_length=120, blank=True)
    processor_contact = models.CharField(max_length=120, blank=True)
    processor_retention = models.CharField(max_length=200, blank=True)
    processor_subprocessors = models.CharField(max_length=300, blank=True)
    # How raw confidences of its answers map to shares of good ones, by signal and route.
    calibrations = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("tier", "name")
        constraints = [
            models.CheckConstraint(condition=~Q(owner=""), name="backend_has_an_owner"),
            models.CheckConstraint(
                condition=Q(input_usd_per_mtok__gte=0) & Q(output_usd_per_mtok__gte=0),
                name="backend_prices_are_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(secret_ref="") | Q(secret_sealed__isnull=True),
                name="backend_has_one_secret",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("backend", args=[self.name])

    @property
    def secret_reference(self) -> str:
        """What replicas and probes resolve: a reference, or the sealed secret with its owner."""
        if self.secret_sealed is None:
            return self.secret_ref
        return f"sealed:{self.name}:{b64encode(bytes(self.secret_sealed)).decode()}"


class BackendProbe(models.Model):
    """One look at a backend's health, by the schedule or by a person's "test connection"."""

    backend = models.ForeignKey(Backend, on_delete=models.CASCADE, related_name="probes")
    at = models.DateTimeField(db_index=True)
    ok = models.BooleanField()
    status = models.PositiveSmallIntegerField(null=True)
    latency_ms = models.PositiveIntegerField()
    request = models.CharField(max_length=300)
    detail = models.CharField(max_length=300, blank=True)
    by = models.CharField(max_length=150, default="schedule")

    class Meta:
        ordering = ("-at",)
        indexes = [models.Index(fields=("backend", "-at"), name="probe_latest")]


class SignOff(models.Model):
    """A dated, expiring approval that a public backend may receive a data class."""

    class State(models.TextChoices):
        REQUESTED = "requested", "requested"
        GRANTED = "granted", "granted"
        REFUSED = "refused", "refused"
        REVOKED = "revoked", "revoked"

    backend = models.ForeignKey(Backend, on_delete=models.PROTECT, related_name="signoffs")
    data_class = models.CharField(max_length=20)
    purpose = models.CharField(max_length=200)
    risk_reference = models.CharField(max_length=100)
    conditions = models.TextField(blank=True)
    state = models.CharField(max_length=9, choices=State, default=State.REQUESTED)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    first_approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    second_approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    first_approved_at = models.DateTimeField(null=True)
    first_reason = models.CharField(max_length=500, blank=True)
    second_approved_at = models.DateTimeField(null=True)
    second_reason = models.CharField(max_length=500, blank=True)
    # A refusal or a revocation: who, when, why.
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=500, blank=True)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField()
    # The schedule has said so in the trail. The clock decides, not these.
    begin_recorded_at = models.DateTimeField(null=True)
    expiry_recorded_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("backend", "data_class", "-valid_to")
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_to__gt=F("valid_from")), name="signoff_period_is_real"
            ),
            models.CheckConstraint(
                condition=~Q(state="granted")
                | (Q(first_approver__isnull=False) & Q(second_approver__isnull=False)),
                name="signoff_has_two_approvers",
            ),
            models.CheckConstraint(
                condition=~Q(first_approver=F("second_approver"))
                & ~Q(first_approver=F("requested_by"))
                & ~Q(second_approver=F("requested_by")),
                name="signoff_people_differ",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("refused", "revoked"))
                | (Q(ended_at__isnull=False) & ~Q(end_reason="")),
                name="signoff_end_has_a_reason",
            ),
            models.UniqueConstraint(
                fields=("backend", "data_class", "purpose"),
                condition=Q(state="requested"),
                name="one_open_request_per_purpose",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.backend} may receive {self.data_class}"

    def get_absolute_url(self) -> str:
        return reverse("sign-off", args=[self.pk])

    def standing(self, now: datetime) -> str:
        """requested, refused, revoked, not yet valid, valid or expired; the clock decides."""
        if self.state != self.State.GRANTED:
            return str(self.state)
        if now < self.valid_from:
            return "not yet valid"
        # Whole seconds, as the check at every dispatch counts them.
        return "valid" if int(now.timestamp()) < int(self.valid_to.timestamp()) else "expired"
