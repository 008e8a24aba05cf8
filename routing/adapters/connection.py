"""One HTTP/1.1 connection to a backend: a request goes out, and its one answer is read strictly.

An answer that could be read in two ways is refused. Bytes that nobody asked for end the connection,
so that no answer can be taken for that of another request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from routing.adapters.problems import BadAnswer, TooSlow, Unreachable, UpstreamProblem

HEAD_LIMIT = 64 * 1024
HEADERS_LIMIT = 200
INTERIM_LIMIT = 8
# Above this much unread the backend waits until the client has taken some.
_UNREAD_LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Seconds. ``first_byte_s`` runs until the answer's headers, ``idle_s`` between two reads."""

    connect_s: float = 3.0
    first_byte_s: float
    idle_s: float
    total_s: float


class Connection(asyncio.Protocol):
    """Not for two requests at once: the pool hands it to one caller at a time."""

    __slots__ = (
        "_ends",
        "_head_by",
        "_head_size",
        "_headers_seen",
        "_heard",
        "_idle_s",
        "_interim",
        "_is_asked",
        "_is_paused",
        "_is_whole",
        "_limit",
        "_loop",
        "_name",
        "_on_lost",
        "_parser",
        "_parts",
        "_problem",
        "_timer",
        "_transport",
        "_unread",
        "_waiter",
        "has_head",
        "headers",
        "idle_since",
        "is_complete",
        "is_open",
        "status",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, name: str, on_lost: Callable[[Connection], None]
    ) -> None:
        self._loop = loop
        self._name = name
        self._on_lost = on_lost
        self._parser: Any = HttpResponseParser(self)
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._is_asked = self._is_paused = False
        self.is_open = False
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.has_head = self.is_complete = False
        self._head_size = self._headers_seen = self._interim = self._unread = 0
        self._parts: list[bytes] = []
        self._problem: UpstreamProblem | None = None
        self._is_whole = False
        self._limit = 0

    # the caller's side

    def ask(self, request: bytes, clocks: Clocks, *, since: float, whole_up_to: int = 0) -> None:
        """Send a request. With ``whole_up_to`` the answer is wanted whole, up to that many bytes.

        The clocks count from ``since``, so that waiting for a connection is part of them.
        """
        self._begin()
        self._is_asked, self._is_whole, self._limit = True, bool(whole_up_to), whole_up_to
        self._heard, self._idle_s, self._ends = since, clocks.idle_s, since + clocks.total_s
        self._head_by = since + min(clocks.first_byte_s, clocks.total_s, clocks.idle_s)
        self._timer = self._loop.call_at(self._head_by, self._tick)
        self._transport.write(request)

    async def whole(self) -> bytes:
        """The whole body. Raises UpstreamProblem."""
        while not self.is_complete:
            await self._wait()
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    async def head(self) -> None:
        """Wait for the status and the headers. Raises UpstreamProblem."""
        while not self.has_head:
            await self._wait()

    async def read(self) -> bytes:
        """The bytes that came since the last reading, or nothing at the end of the answer."""
        while not self._parts:
            if self.is_complete:
                return b""
            await self._wait()
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._unread = 0
        if self._is_paused:
            self._is_paused = False
            self._heard = self._loop.time()
            self._transport.resume_reading()
        return data

    def finish(self) -> bool:
        """End this exchange; return whether the connection is good for another one.

        An answer that was not read to its end ends the connection, and with it the backend's work.
        """
        self._is_asked = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (
            self.is_open
            and self.is_complete
            and not self._transport.is_closing()
            # What the backend did not read of our request would be in front of the next one.
            and not self._transport.get_write_buffer_size()
        ):
            self._parts.clear()
            return True
        self.abort()
        # The problem knows, by its traceback, this connection: a ring that would keep what was
        # read until the collector's rarest pass.
        self._parts, self._problem = [], None
        return False

    def abort(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        if self._problem is not None:
            raise self._problem
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._problem is not None:
            raise self._problem

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, problem: UpstreamProblem) -> None:
        if self._problem is None and not self.is_complete:
            self._problem = problem
        self.abort()
        self._wake()

    def _tick(self) -> None:
        """One timer looks after all clocks: it is set anew only when it fires too early."""
        now = self._loop.time()
        if self._is_paused:
            self._heard = now
        due = min(self._heard + self._idle_s, self._ends) if self.has_head else self._head_by
        if now >= due:
            where = "stopped in the middle of its answer" if self.has_head else "did not answer"
            self._fail(TooSlow(f"{self._name} {where} in time"))
        else:
            self._timer = self._loop.call_at(due, self._tick)

    # the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if not self._is_asked:
            self.abort()
            return
        self._heard = self._loop.time()
        had_head = self.has_head
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as problem:
            self._refuse(problem)
            return
        if not self.has_head:
            self._head_size += len(data)
            if self._head_size > HEAD_LIMIT:
                self._fail(BadAnswer(f"{self._name} sent headers without end"))
            return
        if self.is_complete or (not self._is_whole and (self._parts or not had_head)):
            self._wake()
        if self._unread > _UNREAD_LIMIT and not self._is_whole and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _refuse(self, problem: Exception) -> None:
        cause = problem.__context__
        if isinstance(cause, UpstreamProblem):
            self._fail(cause)
        elif self.is_complete:
            # The answer is whole; what follows it is nobody's.
            self.abort()
            self._wake()
        else:
            self._fail(BadAnswer(f"{self._name} sent what is not an HTTP answer"))

    def eof_received(self) -> None:
        if (
            self.has_head
            and not self.is_complete
            and b"content-length" not in self.headers
            and b"transfer-encoding" not in self.headers
        ):
            self.is_complete = True
            self.is_open = False
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._is_asked and not self.is_complete:
            self._fail(
                BadAnswer(f"{self._name} broke off in the middle of its answer")
                if self.has_head
                else Unreachable(f"{self._name} broke the connection")
            )
        self._on_lost(self)
        # The parser and this connection know each other; nothing more is to be read.
        self._parser = None

    # the parser's side

    def on_message_begin(self) -> None:
        if self.is_complete:
            # A second answer to one request: never let the next request have it.
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers_seen += 1
        self._head_size += len(name) + len(value) + 4
        if self._headers_seen > HEADERS_LIMIT or self._head_size > HEAD_LIMIT:
            raise BadAnswer(f"{self._name} sent too many headers")
        if self.has_head or self.is_complete:
            return  # Trailers count, but say nothing.
        name = name.lower()
        if name in self.headers and name in (b"content-length", b"transfer-encoding"):
            raise BadAnswer(f"{self._name} stated the length of its answer twice")
        self.headers[name] = value

    def on_headers_complete(self) -> None:
        if self.is_complete:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        coding = self.headers.get(b"transfer-encoding")
        if coding is not None and (
            coding.strip().lower() != b"chunked" or b"content-length" in self.headers
        ):
            raise BadAnswer(f"{self._name} left the length of its answer open to doubt")
        self.has_head = True

    def on_body(self, data: bytes) -> None:
        if self.is_complete:
            return
        self._unread += len(data)
        if self._is_whole and self._unread > self._limit:
            raise BadAnswer(f"{self._name} sent more than {self._limit} bytes")
        self._parts.append(data)

    def on_message_complete(self) -> None:
        if self.is_complete:
            return
        if self.status < 200:
            # 100 Continue and its like: the answer proper is still to come.
            self._interim += 1
            if self._interim > INTERIM_LIMIT:
                raise BadAnswer(f"{self._name} sent interim answers without end")
            self.headers = {}
            return
        self.is_complete = True
        if not self._parser.should_keep_alive():
            self.is_open = False
