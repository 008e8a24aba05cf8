"""Reads webhooks and their deliveries for the screens."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.db.models import Count, Q, QuerySet

from routing.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from routing.models.webhooks import TEST_EVENT
from screens.errors import NotFound

EVENTS = (*WebhookEvent.values, TEST_EVENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilters:
    """What the list is cut down to; every field is one parameter of the URL."""

    endpoint: str = ""
    event: str = ""
    state: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> DeliveryFilters:
        return cls(**{one.name: query.get(one.name, "").strip()[:64] for one in fields(cls)})

    @property
    def is_set(self) -> bool:
        return any(asdict(self).values())


def endpoints() -> QuerySet[WebhookEndpoint]:
    """Every endpoint, with how many of its deliveries wait and failed."""
    return WebhookEndpoint.objects.annotate(
        waiting=Count("deliveries", filter=Q(deliveries__state="pending")),
        failed=Count("deliveries", filter=Q(deliveries__state="failed")),
    ).order_by("client", "-created_at")


def endpoint_of(pk: uuid.UUID) -> WebhookEndpoint:
    found = WebhookEndpoint.objects.filter(pk=pk).first()
    if found is None:
        raise NotFound("There is no such webhook.", what_next="Start from the list of webhooks.")
    return found


def delivery_of(pk: uuid.UUID) -> WebhookDelivery:
    found = WebhookDelivery.objects.select_related("endpoint").filter(pk=pk).first()
    if found is None:
        raise NotFound(
            "There is no such delivery.", what_next="They are kept for 30 days after their end."
        )
    return found


def deliveries(filters: DeliveryFilters) -> QuerySet[WebhookDelivery]:
    """Newest first; a filter that names nothing finds nothing."""
    found = WebhookDelivery.objects.select_related("endpoint")
    conditions: dict[str, Any] = {}
    if filters.endpoint:
        try:
            conditions["endpoint_id"] = uuid.UUID(filters.endpoint)
        except ValueError:
            return found.none()
    if filters.event:
        conditions["event"] = filters.event
    if filters.state:
        conditions["state"] = filters.state
    return found.filter(**conditions)
