"""What people do with webhooks: set up, change, rotate, disable, enable, test, send again."""

from __future__ import annotations

import ipaddress
import secrets as chance
import uuid
from base64 import b64encode
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

import audit
from accounts.models import ApiKey, User
from audit.actors import Actor
from routing.adapters.egress import Guard
from routing.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from routing.models.webhooks import TEST_EVENT
from routing.services import secrets
from routing.services.budgets import line_of
from routing.services.policies import require
from routing.services.webhook_outbox import delivery as new_delivery
from routing.services.webhook_sending import owner_of, switch_off
from screens.errors import Conflict, Invalid, NotFound

MOST_PER_APPLICATION: Final = 10
LONGEST_OVERLAP: Final = timedelta(days=7)


@transaction.atomic
def create_endpoint(
    *, by: User, client_id: str, url: str, events: Sequence[str], description: str, reason: str
) -> tuple[WebhookEndpoint, str]:
    """Set up an address; the secret is returned once and kept encrypted."""
    require(by, "routing.operate")
    key = ApiKey.objects.filter(public_id=client_id).first()
    if key is None:
        raise NotFound("There is no such API key.")
    line = line_of(key.public_id)[0]
    if WebhookEndpoint.objects.filter(client_line=line).count() >= MOST_PER_APPLICATION:
        raise Conflict(
            f"{key.name} has {MOST_PER_APPLICATION} webhooks already.",
            what_next="Change one of them.",
        )
    text = _new_secret()
    endpoint = WebhookEndpoint(
        client_line=line,
        client=key.name,
        url=checked_url(url),
        events=_checked_events(events),
        description=description.strip(),
        created_at=timezone.now(),
        secret_set_at=timezone.now(),
    )
    endpoint.secret_sealed = secrets.seal(text, backend=owner_of(endpoint))
    endpoint.save(force_insert=True)
    _record("webhook.created", endpoint, by, reason, after=_facts(endpoint))
    return endpoint, text


@transaction.atomic
def change_endpoint(
    *,
    endpoint: WebhookEndpoint,
    by: User,
    url: str,
    events: Sequence[str],
    description: str,
    reason: str,
) -> WebhookEndpoint:
    """Change where it goes and what it is told. What waits goes to the new address."""
    require(by, "routing.operate")
    locked = _locked(endpoint)
    before = _facts(locked)
    locked.url, locked.events = checked_url(url), _checked_events(events)
    locked.description = description.strip()
    if before == _facts(locked):
        return locked
    locked.save(update_fields=["url", "events", "description"])
    _record("webhook.changed", locked, by, reason, before=before, after=_facts(locked))
    return locked


@transaction.atomic
def rotate_secret(
    *, endpoint: WebhookEndpoint, by: User, overlap: timedelta, reason: str
) -> tuple[WebhookEndpoint, str]:
    """Give it a new secret. During the overlap both sign; a second rotation ends the oldest."""
    require(by, "routing.operate")
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise Invalid("The overlap is at most seven days.")
    locked, now, text = _locked(endpoint), timezone.now(), _new_secret()
    keeps = overlap > timedelta()
    locked.old_secret_sealed = bytes(locked.secret_sealed) if keeps else None
    locked.old_secret_until = now + overlap if keeps else None
    locked.secret_sealed = secrets.seal(text, backend=owner_of(locked))
    locked.secret_set_at = now
    locked.save()
    _record(
        "webhook.rotated", locked, by, reason, details={"overlap_s": int(overlap.total_seconds())}
    )
    return locked, text


@transaction.atomic
def disable_endpoint(*, endpoint: WebhookEndpoint, by: User, reason: str) -> WebhookEndpoint:
    """Stop sending; what waits has failed, and nothing new is queued until it is enabled."""
    require(by, "routing.operate")
    locked = _locked(endpoint)
    if not locked.is_active:
        raise Conflict("This webhook is disabled already.")
    switch_off(locked, by=Actor.of(by), reason=_given(reason), now=timezone.now())
    return locked


@transaction.atomic
def enable_endpoint(*, endpoint: WebhookEndpoint, by: User, reason: str) -> WebhookEndpoint:
    """Send again from now on; what failed meanwhile can be sent again one by one."""
    require(by, "routing.operate")
    locked = _locked(endpoint)
    if locked.is_active:
        raise Conflict("This webhook is active already.")
    checked_url(locked.url)
    locked.state, locked.disabled_at, locked.disabled_why = "active", None, ""
    locked.is_disabled_by_system = False
    locked.failures_in_a_row, locked.failing_since = 0, None
    locked.save()
    _record("webhook.enabled", locked, by, reason)
    return locked


@transaction.atomic
def send_test(*, endpoint: WebhookEndpoint, by: User) -> WebhookDelivery:
    """Queue a message that is about nothing, to see whether the address listens."""
    require(by, "routing.operate")
    locked = _locked(endpoint)
    _must_be_active(locked)
    made = new_delivery(locked, uuid.uuid4(), TEST_EVENT, timezone.now(), {"test": True})
    made.save(force_insert=True)
    _record("webhook.tested", locked, by, "a test", details={"delivery": made.webhook_id})
    return made


@transaction.atomic
def send_again(*, delivery: WebhookDelivery, by: User) -> WebhookDelivery:
    """Send an ended delivery again, with the same id and body and fresh tries."""
    require(by, "routing.operate")
    endpoint = _locked(delivery.endpoint)
    _must_be_active(endpoint)
    changed = (
        WebhookDelivery.objects.filter(pk=delivery.pk)
        .exclude(state=WebhookDelivery.State.PENDING)
        .update(
            state=WebhookDelivery.State.PENDING,
            tries=0,
            next_try_at=timezone.now(),
            ended_at=None,
        )
    )
    if changed != 1:
        raise Conflict("This delivery is on its way already.")
    details = {"delivery": delivery.webhook_id}
    _record("webhook.sent_again", endpoint, by, "by hand", details=details)
    delivery.refresh_from_db()
    return delivery


def checked_url(url: str) -> str:
    """The address, if a webhook may go there; every socket is checked once more when it is sent."""
    text = url.strip()
    try:
        parts = urlsplit(text)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Invalid("This is no address.", code="webhook_address") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname or len(text) > 500:
        raise Invalid("An address begins with https:// and a host.", code="webhook_address")
    if parts.username or parts.password or parts.fragment or not text.isprintable():
        raise Invalid("An address has no password and no fragment.", code="webhook_address")
    is_private = _is_private(parts.hostname, port)
    if parts.scheme == "http" and not is_private:
        raise Invalid(
            "A public address needs https.",
            code="webhook_address",
            what_next="http is for private addresses that SIGNALBOX_PRIVATE_WEBHOOKS lists.",
        )
    return text


def _is_private(host: str, port: int) -> bool:
    """Whether it is a private address that is allowed; one that is not raises Invalid."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host == "localhost":
            raise Invalid("Name the address itself, not localhost.") from None
        return False
    if why := Guard(settings.WEBHOOK_PRIVATE_ALLOWED).verdict(host, port):
        raise Invalid(
            f"Signalbox may not send there: {why}.",
            code="webhook_address",
            what_next="SIGNALBOX_PRIVATE_WEBHOOKS lists what is allowed.",
        )
    return not address.is_global


def _checked_events(events: Sequence[str]) -> list[str]:
    if not events or set(events) - set(WebhookEvent.values):
        raise Invalid(f"Choose at least one of {', '.join(WebhookEvent.values)}.")
    return [event for event in WebhookEvent.values if event in events]


def _new_secret() -> str:
    return "whsec_" + b64encode(chance.token_bytes(32)).decode()


def _locked(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    return WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)


def _must_be_active(endpoint: WebhookEndpoint) -> None:
    if not endpoint.is_active:
        raise Conflict("This webhook is disabled.", what_next="Enable it first.")


def _given(reason: str) -> str:
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    return reason.strip()


def _facts(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
    }


def _record(kind: str, endpoint: WebhookEndpoint, by: User, reason: str, **more: Any) -> None:
    details = {"client": endpoint.client, **more.pop("details", {})}
    audit.record(
        kind,
        by=Actor.of(by),
        object_type="webhook",
        object_id=str(endpoint.pk),
        reason=_given(reason),
        details=details,
        **more,
    )
