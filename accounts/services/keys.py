"""Issues, rotates and revokes API keys. The text of a key is returned once and stored nowhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

import audit
from accounts.models import ApiKey, User
from accounts.secrets import make_key
from audit.actors import Actor
from screens.access import may
from screens.errors import Conflict, Invalid, NotAllowed

LONGEST_LIFE = timedelta(days=366)


def _require(by: User) -> None:
    if not may(by, "accounts.manage_keys"):
        raise NotAllowed


def _facts(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "owner": key.owner,
        "routes": sorted(key.routes),
        "default_route": key.default_route,
        "may_pin": key.may_pin,
        "boundary_ceiling": key.boundary_ceiling,
        "data_class_ceiling": key.data_class_ceiling,
        "requests_per_minute": key.requests_per_minute,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
    }


@transaction.atomic
def create_key(*, by: User, reason: str, **fields: Any) -> tuple[ApiKey, str]:
    """Issue a key; returns it with its text, which the caller shows once."""
    _require(by)
    expires = fields.get("expires_at") or timezone.now() + LONGEST_LIFE
    if not timezone.now() < expires <= timezone.now() + LONGEST_LIFE:
        raise Invalid("A key expires within a year.", what_next="Choose an earlier date.")
    if fields.get("data_class_ceiling", "restricted") not in settings.DATA_CLASSES:
        raise Invalid(f"The data class is one of {', '.join(settings.DATA_CLASSES)}.")
    fresh = make_key()
    key = ApiKey.objects.create(
        **{**fields, "expires_at": expires},
        public_id=fresh.public_id,
        secret_sha256=fresh.sha256,
        created_by=by,
    )
    audit.record(
        "api_key.created",
        by=Actor.of(by),
        object_type="api_key",
        object_id=key.public_id,
        reason=reason,
        after=_facts(key),
    )
    return key, fresh.text


@transaction.atomic
def rotate_key(*, key: ApiKey, by: User, reason: str, overlap: timedelta) -> tuple[ApiKey, str]:
    """Issue a successor with the same rights; the old key ends after ``overlap``."""
    _require(by)
    ends = timezone.now() + overlap
    changed = ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(expires_at=ends)
    if changed != 1:
        raise Conflict("This key has been revoked.")
    fresh = make_key()
    successor = ApiKey.objects.create(
        name=key.name,
        owner=key.owner,
        routes=key.routes,
        default_route=key.default_route,
        may_pin=key.may_pin,
        boundary_ceiling=key.boundary_ceiling,
        data_class_ceiling=key.data_class_ceiling,
        requests_per_minute=key.requests_per_minute,
        expires_at=timezone.now() + LONGEST_LIFE,
        public_id=fresh.public_id,
        secret_sha256=fresh.sha256,
        created_by=by,
        replaces=key,
    )
    audit.record(
        "api_key.rotated",
        by=Actor.of(by),
        object_type="api_key",
        object_id=key.public_id,
        reason=reason,
        details={"successor": successor.public_id, "old_key_ends_at": ends.isoformat()},
    )
    return successor, fresh.text


@transaction.atomic
def revoke_key(*, key: ApiKey, by: User, reason: str) -> None:
    """End a key now; replicas follow within five seconds."""
    _require(by)
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    changed = ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(
        revoked_at=timezone.now()
    )
    if changed != 1:
        raise Conflict("This key has already been revoked.")
    audit.record(
        "api_key.revoked",
        by=Actor.of(by),
        object_type="api_key",
        object_id=key.public_id,
        reason=reason.strip(),
    )
