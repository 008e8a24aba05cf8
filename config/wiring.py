"""Who listens to whom: review opens cases on holds, and read models follow the ledger."""

from __future__ import annotations

import uuid
from typing import Any


def connect() -> None:
    """Called once at start-up, when every app is loaded."""
    from audit import followers
    from routing.services import projection

    followers.register(projection.follow)


def connect_gateway(gateway: Any) -> None:
    """Give the live API its listener: routing may not know review, so the roof brings them together."""
    from review.services import cases
    from routing.gateway.replica import in_thread

    async def open_case(decision_id: uuid.UUID) -> None:
        await in_thread(lambda: cases.open_case(decision_id=decision_id))

    gateway.on_held = open_case
