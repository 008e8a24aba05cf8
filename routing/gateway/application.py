"""The live API as one lean ASGI application: paths, start and stop, the last line of defence."""

from __future__ import annotations

import asyncio
import gc
import logging
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic, time
from typing import Any

import orjson
import psycopg

from audit import payloads, sealing
from routing.adapters.egress import Guard
from routing.gateway import background, keys
from routing.gateway.errors import ApiError
from routing.gateway.exchange import ClientGone, Exchange
from routing.gateway.explaining import explain
from routing.gateway.metrics import Metrics
from routing.gateway.recorder import Recorder
from routing.gateway.records import Scribe
from routing.gateway.replica import MAX_AGE_S, Replica
from routing.gateway.scrape import Scrape
from routing.gateway.serving import serve
from routing.gateway.snapshot import Snapshot
from routing.gateway.surfaces.chat import CHAT
from routing.gateway.surfaces.embeddings import EMBEDDINGS
from routing.gateway.surfaces.messages import MESSAGES
from routing.gateway.surfaces.responses import RESPONSES
from routing.gateway.surfaces.surface import Surface
from routing.gateway.tracing import Tracing
from screens import request_id

Serve = Callable[["Gateway", Exchange], Awaitable[None]]
# Which API a path speaks; whatever else is asked is refused in the shape of chat.
_SURFACES: dict[str, Surface] = {
    "/v1/chat/completions": CHAT,
    "/v1/responses": RESPONSES,
    "/v1/messages": MESSAGES,
    "/v1/embeddings": EMBEDDINGS,
}


def dsn_of(database: dict[str, Any]) -> str:
    """The psycopg connection string of a Django database."""
    return psycopg.conninfo.make_conninfo(
        host=database["HOST"] or None,
        port=database["PORT"] or None,
        user=database["USER"] or None,
        password=database["PASSWORD"] or None,
        dbname=database["NAME"],
        application_name="signalbox-gateway",
        **{k: v for k, v in database.get("OPTIONS", {}).items() if k != "pool"},
    )


class Gateway:
    log = logging.getLogger("routing.gateway")

    def __init__(
        self,
        *,
        dsn: str,
        snapshot_file: Path,
        guard: Guard,
        url: str,
        body_limit: int,
        snapshot_max_age_s: float = MAX_AGE_S,
        metrics_folder: Path | None = None,
    ) -> None:
        self.url = url
        self.surfaces = _SURFACES
        self.body_limit = body_limit
        self.replica = Replica(
            dsn=dsn, file=snapshot_file, guard=guard, max_age_s=snapshot_max_age_s
        )
        self.replica.on_hold_answered = self._wake_hold
        self.recorder = Recorder(dsn)
        self.replica.on_database_lost = self.recorder.suspect
        self.rate_limits = keys.RateLimits()
        self.metrics = Metrics()
        self.hold_events: dict[str, set[asyncio.Event]] = {}
        self.background: dict[str, asyncio.Task[None]] = {}
        self.tracing = Tracing.from_environment()
        self.scrape = Scrape(
            metrics_folder or snapshot_file.parent / "metrics", lambda: self.metrics.read(self)
        )
        # Wired by config: review opens its case on a hold. The sweeper finds what this misses.
        self.on_held: Callable[[uuid.UUID], Awaitable[None]] | None = None
        self._scribe: Scribe | None = None
        self._in_flight = 0
        self._routes: dict[tuple[str, str], Serve] = {
            **{("POST", path): serve for path in _SURFACES},
            ("POST", "/v1/route/explain"): explain,
            ("GET", "/v1/models"): _models,
            ("GET", "/health/live"): _live,
            ("GET", "/health/ready"): _ready,
            ("GET", "/metrics"): _metrics,
        }
        self._paths = {path for _, path in self._routes}

    @classmethod
    def from_settings(cls, settings: Any) -> Gateway:
        return cls(
            dsn=dsn_of(settings.DATABASES["default"]),
            snapshot_file=settings.VAR_DIR / "snapshot.json",
            guard=Guard(settings.EGRESS_PRIVATE_ALLOWED),
            url=settings.SIGNALBOX_URL,
            body_limit=settings.LIVE_BODY_LIMIT,
            snapshot_max_age_s=settings.SNAPSHOT_MAX_AGE_S,
        )

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def scribe(self) -> Scribe:
        if self._scribe is None:
            self._scribe = Scribe(
                sealing.Writer(name=f"gateway-{self.replica.name}"),
                payloads.payload_key(),
            )
        return self._scribe

    async def start(self) -> None:
        self.recorder.start()
        # Whether anything can be recorded is known before the first request, not by it.
        self.recorder.suspect()
        await self.replica.start()
        self.scrape.start()
        if self.tracing is not None:
            self.tracing.start()
        _ = self.scribe
        # What exists now lives as long as the process: keep the collector away from it.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 100)

    async def stop(self) -> None:
        ends = monotonic() + 20
        while (self._in_flight or self.background) and monotonic() < ends:
            await asyncio.sleep(0.05)
        for task in list(self.background.values()):
            task.cancel()
        await asyncio.gather(*self.background.values(), return_exceptions=True)
        await self.recorder.stop()
        await self.replica.stop()
        self.scrape.stop()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.stop)

    async def lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        x = Exchange(scope, receive, send, _SURFACES.get(scope["path"], CHAT))
        self._in_flight += 1
        # Every line of the log below here says whose it is; a request is a task, so nothing leaks.
        request_id.enter(x.request_id)
        if self.tracing is not None and x.path in _SURFACES:
            self.tracing.begin(x)
        try:
            await self._serve(x)
        except ApiError as error:
            self.metrics.refused(error.code)
            await x.refuse(error)
        except ClientGone:
            self.metrics.refused("client_gone")
        except asyncio.CancelledError:
            # A stop whose grace is over, said so that a client can read it and ask another.
            self.metrics.refused("router_stopped")
            await x.refuse(
                ApiError(
                    "router_stopped",
                    "This replica was stopped before the answer was there; ask again.",
                    retry_after_s=1,
                )
            )
            raise
        except Exception:
            self.log.exception("A request failed in the router itself.")
            self.metrics.refused("internal_error")
            await x.refuse(
                ApiError("internal_error", "The router failed; the request id finds it in the log.")
            )
        finally:
            self._in_flight -= 1
            if self.tracing is not None:
                self.tracing.finish(x)

    async def _serve(self, x: Exchange) -> None:
        answer = self._routes.get((x.method, x.path))
        if answer is not None:
            await answer(self, x)
        elif x.path in self._paths:
            raise ApiError("method_not_allowed", f"{x.path} does not answer {x.method}.")
        elif x.method == "GET" and x.path.startswith("/v1/models/"):
            await _model(self, x)
        elif x.path.startswith("/v1/responses/"):
            await _response(self, x)
        else:
            raise ApiError("not_found", f"There is nothing at {x.path[:100]!r}.")

    async def not_found(self, scope: Any, receive: Any, send: Any) -> None:
        x = Exchange(scope, receive, send, CHAT)
        await x.refuse(ApiError("not_found", "This replica serves the live API only."))

    def current_snapshot(self) -> Snapshot:
        """The snapshot to decide on; raises 503 when there is none, or none young enough."""
        snapshot, replica = self.replica.snapshot, self.replica
        if snapshot is None:
            raise ApiError(
                "policy_unavailable", "This replica has no valid snapshot yet.", retry_after_s=2
            )
        if (age_s := replica.age_s()) > replica.max_age_s:
            raise ApiError(
                "policy_unavailable",
                f"This replica last heard from its database {age_s:.0f} s ago and may decide for "
                f"{replica.max_age_s:.0f} s without it. It goes on by itself when the database "
                "answers; try another replica meanwhile.",
                retry_after_s=5,
            )
        return snapshot

    async def announce_hold(self, decision_id: uuid.UUID) -> None:
        if self.on_held is None:
            return
        try:
            await self.on_held(decision_id)
        except Exception:
            self.log.exception("A case could not be opened at once; the sweeper will.")

    def _wake_hold(self, decision_id: str) -> None:
        for event in self.hold_events.get(decision_id, ()):
            event.set()
        if decision_id in self.background:
            asyncio.ensure_future(background.stop_if_cancelled(self, decision_id))


def _route_object(slug: str, created: int) -> dict[str, Any]:
    return {"id": slug, "object": "model", "created": created, "owned_by": "signalbox"}


def _visible(gateway: Gateway, x: Exchange) -> list[dict[str, Any]]:
    snapshot = gateway.current_snapshot()
    key = keys.authenticate(x.headers, snapshot, time())
    x.key = key
    return [
        _route_object(route.slug, route.created_s)
        for route in snapshot.routes.values()
        if route.enabled and key.may_call(route.slug)
    ]


async def _models(gateway: Gateway, x: Exchange) -> None:
    await x.answer(200, orjson.dumps({"object": "list", "data": _visible(gateway, x)}))


async def _model(gateway: Gateway, x: Exchange) -> None:
    wanted = x.path.removeprefix("/v1/models/")
    for item in _visible(gateway, x):
        if item["id"] == wanted:
            await x.answer(200, orjson.dumps(item))
            return
    raise ApiError("model_not_found", f"There is no route named {wanted[:64]!r}.", param="model")


async def _response(gateway: Gateway, x: Exchange) -> None:
    wanted, _, act = x.path.removeprefix("/v1/responses/").partition("/")
    if (x.method, act) == ("GET", ""):
        await background.fetch(gateway, x, wanted)
    elif (x.method, act) == ("POST", "cancel"):
        await background.cancel(gateway, x, wanted)
    elif act in {"", "cancel"}:
        raise ApiError("method_not_allowed", f"{x.path[:100]} does not answer {x.method}.")
    else:
        raise ApiError("not_found", f"There is nothing at {x.path[:100]!r}.")


async def _live(gateway: Gateway, x: Exchange) -> None:
    await x.answer(200, b'{"status":"live"}')


async def _ready(gateway: Gateway, x: Exchange) -> None:
    """Ready means: has a valid snapshot. Not: the database is up."""
    snapshot = gateway.current_snapshot()
    await x.answer(
        200,
        orjson.dumps(
            {
                "status": "ready",
                "revision": snapshot.revision,
                "digest": snapshot.digest,
                "age_s": round(gateway.replica.age_s(), 1),
                "refuses": gateway.replica.refusal.why if gateway.replica.refusal else None,
            }
        ),
    )


async def _metrics(gateway: Gateway, x: Exchange) -> None:
    body = await gateway.scrape.text()
    await x.begin(200, [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")])
    await x.write(body)
    await x.end()
