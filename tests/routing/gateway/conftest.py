"""The live API in this process, on a real database, with scripted backends on real sockets."""

from __future__ import annotations

import asyncio
import gc
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from routing.adapters.egress import Guard
from routing.gateway.application import Gateway, dsn_of
from routing.services.snapshots import digest_of
from tests.faults.upstream import Upstream
from tests.routing.conftest import ALL_CLASSES, policy_document

KEY = "test-key"
START = Callable[..., Awaitable["Live"]]


def snapshot_document(ports: dict[str, int], **changed: Any) -> dict[str, Any]:
    """Two private backends, one route, one key. ``changed`` replaces parts of the policy."""
    backends = [
        {
            "name": name,
            "tier": "slm" if name == "small" else "llm",
            "boundary": "public" if name == "cloud" else "private",
            "region": "",
            "state": "active",
            "base_url": f"http://127.0.0.1:{port}/v1",
            "upstream_model": "theirs",
            "secret_ref": "",
            "data_classes": ALL_CLASSES,
            "capabilities": ["stream", "json", "tools", "images", "embeddings"],
            "context_window": 32_000,
            "max_output_tokens": 100,
            "max_in_flight": 50,
            "price_in": "1.00",
            "price_out": "2.00",
            "price_version": 1,
            "signoffs": changed.get("signoffs", {}) if name == "cloud" else {},
        }
        for name, port in ports.items()
    ]
    parts: dict[str, Any] = {
        "fallbacks": {"failure": {"small": ["large"]}},
        "limits": {
            "deadline_ms": 3000,
            "first_token_ms": 800,
            "stream_idle_ms": 800,
            "attempts": 3,
        },
    }
    parts |= {name: value for name, value in changed.items() if name != "signoffs"}
    policy = policy_document(**parts)
    document = {
        "backends": backends,
        "routes": [
            {
                "slug": "support",
                "name": "Support",
                "data_class": "internal",
                "capture": "none",
                "enabled": True,
                "rollout_pct": 100,
                "baseline": "large",
                "created": 1,
                "policy": {"number": 1, "digest": "sha256:0", "document": policy},
            }
        ],
        "keys": [
            {
                "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
                "public_id": "abcdefgh",
                "name": "app",
                "owner": "team",
                "routes": [],
                "default_route": "support",
                "may_pin": True,
                "boundary_ceiling": "public",
                "data_class_ceiling": "restricted",
                "requests_per_minute": 6000,
                "expires_s": None,
            }
        ],
        "killed": [],
        "revision": 1,
    }
    return {**document, "digest": digest_of(document)}


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """A changed document with the digest that it has now."""
    return {**document, "digest": digest_of(document)}


@pytest.fixture
def threads(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Lets the gateway's threads use the database, and closes what they leave open."""
    from django.db import connections

    # Their connections are closed after each use: a test's database is dropped when it ends.
    settings = connections["default"].settings_dict
    kept, settings["CONN_MAX_AGE"] = settings["CONN_MAX_AGE"], 0
    with django_db_blocker.unblock():
        yield
    settings["CONN_MAX_AGE"] = kept


class Live:
    """A running gateway with its client and the events that it wrote."""

    def __init__(self, gateway: Gateway, dsn: str) -> None:
        self.gateway = gateway
        self._dsn = dsn
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=gateway),
            base_url="http://live",
            headers={"authorization": f"Bearer {KEY}"},
            timeout=20,
        )

    async def ask(self, *, stream: bool = False, **headers: str) -> httpx.Response:
        body = {
            "model": "support",
            "stream": stream,
            "messages": [{"role": "user", "content": "Where is my parcel?"}],
        }
        return await self.client.post("/v1/chat/completions", json=body, headers=headers)

    async def say(self, text: str, *, session: str = "", **fields: Any) -> httpx.Response:
        """Ask with a text and fields of the test's own."""
        body = {"model": "support", "messages": [{"role": "user", "content": text}], **fields}
        headers = {"x-session-id": session} if session else {}
        return await self.client.post("/v1/chat/completions", json=body, headers=headers)

    async def made(self, answer: httpx.Response) -> dict[str, Any]:
        """The details of an answer's ``decision.made``."""
        decision = answer.headers["x-signalbox-decision-id"]
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            rows = await connection.execute(
                "SELECT convert_from(body, 'UTF8')::json FROM audit.event WHERE id = %s",
                (decision,),
            )
            [(body,)] = await rows.fetchall()
            return dict(body["details"])

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.client.post(path, json=body, headers=headers)

    def add_key(self, secret: str) -> None:
        """A second client, which is nobody to the first one's requests."""
        snapshot = self.gateway.replica.snapshot
        assert snapshot is not None
        [mine] = snapshot.keys.values()
        keys = {
            **snapshot.keys,
            hashlib.sha256(secret.encode()).digest(): replace(mine, public_id="other"),
        }
        self.gateway.replica.snapshot = replace(snapshot, keys=keys)

    async def ends(self, answer: httpx.Response) -> list[dict[str, Any]]:
        """The bodies of the terminal events of an answer's decision: there should be one."""
        decision = answer.headers["x-signalbox-decision-id"]
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            rows = await connection.execute(
                "SELECT convert_from(body, 'UTF8')::json FROM audit.event "
                "WHERE decision_id = %s AND kind <> 'decision.made'",
                (decision,),
            )
            return [body for (body,) in await rows.fetchall()]

    async def bytes_of(self, answer: httpx.Response) -> list[bytes]:
        """The stored bytes of every event of an answer's decision."""
        decision = answer.headers["x-signalbox-decision-id"]
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            rows = await connection.execute(
                "SELECT body FROM audit.event WHERE decision_id = %s", (decision,)
            )
            return [bytes(body) for (body,) in await rows.fetchall()]


async def _threads_ended() -> None:
    """Threads beside the loop hold connections, and a database in use cannot be dropped."""
    await asyncio.get_running_loop().shutdown_default_executor()
    gc.collect()


@pytest.fixture
async def start(django_db_setup: None, tmp_path: Path) -> AsyncIterator[START]:
    """``await start(small=Upstream(...), large=Upstream(...))`` gives a Live."""
    from django.db import connections

    dsn = dsn_of(connections["default"].settings_dict)
    async with AsyncExitStack() as stack:

        async def started(changed: dict[str, Any] | None = None, **upstreams: Upstream) -> Live:
            for upstream in upstreams.values():
                await stack.enter_async_context(upstream.running())
            ports = {name: upstream.port for name, upstream in upstreams.items()}
            gateway = Gateway(
                dsn=dsn,
                snapshot_file=tmp_path / "snapshot.json",
                guard=Guard([f"127.0.0.1:{port}" for port in ports.values()]),
                url="http://live",
                body_limit=100_000,
            )
            assert await gateway.replica.adopt(
                snapshot_document(ports, **(changed or {})), keep=False
            )
            gateway.recorder.start()
            stack.push_async_callback(_threads_ended)
            stack.push_async_callback(gateway.stop)
            return Live(gateway, dsn)

        yield started
