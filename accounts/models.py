"""People and API keys. A person's roles are groups; what a role may do is in screens.access."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.utils.crypto import salted_hmac


class User(AbstractUser):
    """A person who works in Signalbox. The sign-in name is frozen into every audit event."""

    full_name = models.CharField(max_length=150, blank=True)
    job = models.CharField(max_length=150, blank=True)
    # Raising it ends every session of this person: new rights begin with a new sign-in.
    session_version = models.PositiveIntegerField(default=1)

    class Meta(AbstractUser.Meta):
        ordering = ("username",)

    def __str__(self) -> str:
        return self.full_name or self.username

    def get_full_name(self) -> str:
        return self.full_name

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        bound = f"{self.session_version}:{self.password}"
        return salted_hmac("accounts.session", bound, secret=secret, algorithm="sha256").hexdigest()


class ApiKey(models.Model):
    """An application's secret for the live API. Its SHA-256 is kept; the text is shown once."""

    public_id = models.CharField(max_length=16, unique=True)
    secret_sha256 = models.BinaryField(max_length=32)
    name = models.CharField(max_length=100)
    owner = models.CharField(max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    replaces = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT)
    # Empty means every route; a slug that is not listed answers 403.
    routes = models.JSONField(default=list, blank=True)
    default_route = models.CharField(max_length=64, blank=True)
    may_pin = models.BooleanField(default=False)
    boundary_ceiling = models.CharField(
        max_length=8, default="private", choices=[("private", "private"), ("public", "public")]
    )
    data_class_ceiling = models.CharField(max_length=20, default="restricted")
    requests_per_minute = models.PositiveIntegerField(default=6000)

    class Meta:
        ordering = ("name", "-created_at")
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="apikey_has_a_name"),
            models.CheckConstraint(condition=~Q(owner=""), name="apikey_has_an_owner"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def prefix(self) -> str:
        return f"sbx_live_{self.public_id}"


class AccessToken(models.Model):
    """Lets a program act for one person in the management API, with some of their rights."""

    public_id = models.CharField(max_length=16, unique=True)
    secret_sha256 = models.BinaryField(max_length=32, unique=True)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="access_tokens")
    name = models.CharField(max_length=100)
    # Permission codes. What the person may not do (any more), the token may not either.
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    # To the hour: written at most once in it.
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="accesstoken_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def prefix(self) -> str:
        return f"sbx_mgmt_{self.public_id}"


class SignInAttempt(models.Model):
    """One try to sign in, counted in the database so that every worker sees the same number."""

    username = models.CharField(max_length=150)
    address = models.CharField(max_length=45)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=("username", "address", "at"), name="attempt_by_pair"),
            models.Index(fields=("address", "at"), name="attempt_by_address"),
        ]
