"""What one web process serves, by SIGNALBOX_ROLE: the live API, the screens, or both.

Dispatch is by path alone: no middleware, signal or query is on the way to the live API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.db import Error, connection

from config import wiring
from routing.gateway.application import Gateway
from routing.gateway.replica import in_thread

_LIVE = ("/v1/", "/health/", "/metrics")
Application = Callable[[Any, Any, Any], Awaitable[None]]


def make_gateway() -> Gateway:
    gateway = Gateway.from_settings(settings)
    wiring.connect_gateway(gateway)
    return gateway


def gateway_alone(gateway: Gateway) -> Application:
    """The live API on a port of its own; any other path is refused in its own form."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await gateway.lifespan(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(_LIVE):
            await gateway(scope, receive, send)
        elif scope["type"] == "http":
            await gateway.not_found(scope, receive, send)

    return application


def both(gateway: Gateway) -> Application:
    from django.core.asgi import get_asgi_application

    screens = get_asgi_application()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await gateway.lifespan(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(_LIVE):
            await gateway(scope, receive, send)
        elif scope["type"] == "http":
            await screens(scope, receive, send)

    return application


def screens_alone() -> Application:
    """People's screens and the management API; its health is that of its database."""
    from django.core.asgi import get_asgi_application

    screens = get_asgi_application()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/health/"):
            await _health(scope["path"], send)
        elif scope["type"] == "http":
            await screens(scope, receive, send)

    return application


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _health(path: str, send: Any) -> None:
    if path == "/health/live":
        status, body = 200, b'{"status":"live"}'
    elif path != "/health/ready":
        status, body = 404, b'{"status":"unknown"}'
    elif await _database_answers():
        status, body = 200, b'{"status":"ready"}'
    else:
        status, body = 503, b'{"status":"the database does not answer"}'
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _database_answers() -> bool:
    def ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    try:
        async with asyncio.timeout(2):
            await in_thread(ask)
    except (Error, OSError):
        return False
    return True
