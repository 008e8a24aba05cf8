"""One request on its way through the live API: what is known of it, and how it is answered.

Holds the ASGI calls, the ids, the clocks and the response headers. It decides nothing.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, TypeVar

from audit.payloads import SealedPayload
from routing.gateway.errors import ApiError
from routing.gateway.recorder import Row
from routing.gateway.snapshot import ClientKey

if TYPE_CHECKING:
    from routing.gateway.carry import Carrier
    from routing.gateway.surfaces.surface import StreamReader, Surface
    from routing.gateway.tracing import Trace

_SAFE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}\Z")
_TRACE_PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
_JSON = (b"content-type", b"application/json")

Headers = list[tuple[bytes, bytes]]
T = TypeVar("T")
_WATCH_AFTER_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an answer leaves behind in the commit of its end."""

    payloads: tuple[SealedPayload, ...] = ()
    rows: tuple[Row, ...] = ()


class ClientGone(Exception):  # noqa: N818
    """The client closed the connection; the backend call is cancelled and the end recorded."""


class Exchange:
    def __init__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Any,
        surface: Surface,
    ) -> None:
        self.started = perf_counter()
        self.at = time()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope.get("query_string", b"")
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.receive = receive
        self.surface = surface
        self.reader: StreamReader | None = None
        self._send = send
        given = self.headers.get(b"x-request-id", b"")
        self.request_id = (
            given.decode() if _SAFE_ID.match(given) else f"req_{secrets.token_hex(12)}"
        )
        self.key: ClientKey | None = None
        self.decision_id: str | None = None
        self.facts: Headers = []
        self.upstream_s = 0.0
        self.has_started = False
        # For metrics and traces: how far it came, when (on the clock of `started`), how it ended.
        self.carrier: Carrier | None = None
        self.trace: Trace | None = None
        self.parsed_at = self.measured_at = self.decided_at = 0.0
        self.status = 0
        self.outcome = ""
        self.error_code = ""
        self._is_gone = False
        self._watcher: asyncio.Future[None] | None = None

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1").strip()

    @property
    def caller_trace(self) -> bytes:
        """The caller's `traceparent` for a backend; nothing for what is none."""
        given = self.headers.get(b"traceparent", b"")
        return given if _TRACE_PARENT.match(given) else b""

    @property
    def wants_debug(self) -> bool:
        return self.header(b"x-signalbox-debug").lower() in {"true", "1"}

    def client_wait_s(self) -> float | None:
        """How long the client says that it will wait: OpenAI's SDKs tell their read timeout."""
        for name in (b"x-stainless-read-timeout", b"x-stainless-timeout"):
            try:
                value = float(self.headers[name])
            except (KeyError, ValueError):
                continue
            if 0 < value < 86_400:
                return value
        return None

    def preferred_wait_s(self) -> float | None:
        """``Prefer: respond-async, wait=N``: how long before 202 is welcome; None without it."""
        given = [part.strip().lower() for part in self.header(b"prefer").split(",")]
        if "respond-async" not in given:
            return None
        waits = [part[5:] for part in given if part.startswith("wait=")]
        return float(waits[0]) if waits and waits[0].isascii() and waits[0].isdigit() else 0.0

    def kept_as(
        self,
        state: str,
        *,
        answer: Mapping[str, Any] | None = None,
        error: ApiError | None = None,
        held_by: uuid.UUID | None = None,
    ) -> Kept:
        """What is written of the answer beside the terminal event: nothing, for who gets it."""
        return Kept()

    def elapsed_s(self) -> float:
        return perf_counter() - self.started

    def overhead_us(self) -> int:
        """Microseconds of ours: everything but the time that a backend or a person took."""
        return max(0, round((self.elapsed_s() - self.upstream_s) * 1_000_000))

    def _all_headers(self, extra: Headers) -> Headers:
        return [
            (b"x-request-id", self.request_id.encode()),
            *self.facts,
            (b"x-signalbox-overhead-ms", f"{self.overhead_us() / 1000:.2f}".encode()),
            *extra,
        ]

    async def answer(self, status: int, body: bytes, extra: Headers | None = None) -> None:
        await self.begin(
            status, [_JSON, (b"content-length", str(len(body)).encode()), *(extra or [])]
        )
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, status: int, extra: Headers) -> None:
        self.has_started = True
        self.status = status
        await self._send(
            {"type": "http.response.start", "status": status, "headers": self._all_headers(extra)}
        )

    async def write(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})

    async def refuse(self, error: ApiError, extra: Mapping[str, object] | None = None) -> None:
        """Answer with an error object; inside a stream that has begun, as its last event."""
        self.error_code = error.code
        fields = error.fields(request_id=self.request_id, decision_id=self.decision_id, extra=extra)
        if self.has_started:
            await self.write(self.surface.error_event(fields, error.status, self.reader))
            await self.end()
            return
        await self.answer(error.status, self.surface.error(fields, error.status), error.headers())

    async def unless_gone(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work``; when the client leaves first, cancel it and raise ClientGone.

        A fast answer costs no second task: the connection is watched only after a moment.
        """
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
        timer = asyncio.get_running_loop().call_later(_WATCH_AFTER_S, self._watch, task)
        try:
            return await work
        except asyncio.CancelledError:
            if not self._is_gone:
                raise
            task.uncancel()
            raise ClientGone from None
        finally:
            timer.cancel()
            if self._watcher is not None:
                self._watcher.cancel()
                # It holds this exchange by its traceback: a circle only the collector would end.
                self._watcher = None

    def _watch(self, task: asyncio.Task[Any]) -> None:
        self._watcher = asyncio.ensure_future(self._cancel_when_gone(task))

    async def _cancel_when_gone(self, task: asyncio.Task[Any]) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        task.cancel()
