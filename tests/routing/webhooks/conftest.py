from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.routing.webhooks.receiver import Receiver, receiving


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    with receiving() as made:
        settings.WEBHOOK_PRIVATE_ALLOWED = [f"127.0.0.1:{made.port}"]
        yield made


@pytest.fixture
def key(people: dict[str, Any]) -> Any:
    from accounts.models import ApiKey

    return ApiKey.objects.create(
        public_id="hookkey000000001", secret_sha256=b"0" * 32, name="Claims desk", owner="claims"
    )


@pytest.fixture
def endpoint(receiver: Receiver, key: Any, people: dict[str, Any]) -> Callable[..., Any]:
    """Set one up: endpoint(events=[...]) gives it and its secret."""
    from routing.models import WebhookEvent
    from routing.services import webhooks

    def make(**changed: Any) -> Any:
        values = {
            "by": people["olivia"],
            "client_id": key.public_id,
            "url": receiver.url,
            "events": WebhookEvent.values,
            "description": "Claims",
            "reason": "The claims desk asked for it.",
        }
        return webhooks.create_endpoint(**{**values, **changed})

    return make
