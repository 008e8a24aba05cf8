"""Who listens to whom: review opens cases on holds, read models follow the ledger, and so on."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings


def connect() -> None:
    """Called once at start-up, when every app is loaded."""
    if settings.SIGNALBOX_ROLE == "gateway":
        # Everything below is about screens and background work; connect_gateway is all it needs.
        return
    from accounts import neighbours
    from audit import followers
    from audit.reports import contributions
    from config import celery  # noqa: F401  (without it a screen sends its jobs to no broker)
    from review import attention  # noqa: F401  (registers itself for the overview)
    from routing.queries import budgets, decisions, report_parts
    from routing.services import projection, webhook_outbox

    contributions.register("policies", report_parts.policies)
    contributions.register_documents(report_parts.documents)
    followers.register(projection.follow)
    followers.register(webhook_outbox.follow)
    neighbours.tell(
        route_slugs=decisions.route_slugs,
        last_used=decisions.last_used,
        standing_of=budgets.standing_of_key,
    )


def connect_gateway(gateway: Any) -> None:
    """Give the live API its listener: routing may not know review; the roof knows both."""
    from review.services import cases
    from routing.gateway.replica import in_thread

    async def open_case(decision_id: uuid.UUID) -> None:
        await in_thread(lambda: cases.open_case(decision_id=decision_id))

    gateway.on_held = open_case
