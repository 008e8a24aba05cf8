"""Two applications in one process: the lean live API, and Django for everything else."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application

screens = get_asgi_application()

from config import wiring  # noqa: E402
from routing.gateway.application import Gateway  # noqa: E402  (needs the app registry)

gateway = Gateway.from_settings(settings)
wiring.connect_gateway(gateway)
_LIVE = ("/v1/", "/health/", "/metrics")


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Dispatch by path alone: no middleware, signal or ORM query is on the way to the live API."""
    kind = scope["type"]
    if kind == "http":
        if settings.SIGNALBOX_ROLE != "web" and scope["path"].startswith(_LIVE):
            await gateway(scope, receive, send)
        elif settings.SIGNALBOX_ROLE != "gateway":
            await screens(scope, receive, send)
        else:
            await gateway.not_found(scope, receive, send)
    elif kind == "lifespan":
        await gateway.lifespan(scope, receive, send)
