"""Our own fault proxy: stands on a real socket between two real parties and does what nets do.

``Proxy`` understands HTTP and spoils one answer after the other; ``Line`` passes bytes, holds them,
or cuts, and is put between the router and PostgreSQL. Both are asyncio, neither knows the product.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way: who asked, the real party behind us, and the request itself."""

    client: asyncio.StreamWriter
    target: tuple[str, int]
    request: bytes

    async def answer(self) -> AsyncIterator[bytes]:
        """The real party's answer, in the pieces in which it comes."""
        reader, writer = await asyncio.open_connection(*self.target)
        try:
            writer.write(self.request)
            head = await reader.readuntil(b"\r\n\r\n")
            yield head
            length = _LENGTH.search(head)
            left = int(length[1]) if length else None
            while left is None or left > 0:
                piece = await reader.read(65536 if left is None else min(left, 65536))
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece
        finally:
            writer.close()

    async def send(self, piece: bytes) -> None:
        self.client.write(piece)
        await self.client.drain()

    def reset(self) -> None:
        self.client.transport.abort()


Fault = Callable[[Call], Awaitable[None]]


async def honest(call: Call) -> None:
    async for piece in call.answer():
        await call.send(piece)


async def refuse(call: Call) -> None:
    call.reset()


async def silence(call: Call) -> None:
    await asyncio.sleep(60)


def late(seconds: float) -> Fault:
    async def fault(call: Call) -> None:
        await asyncio.sleep(seconds)
        await honest(call)

    return fault


def drip(every_s: float, *, after: int = 0) -> Fault:
    """Slow loris: ``after`` bytes at once, then one at a time."""

    async def fault(call: Call) -> None:
        passed = 0
        async for piece in call.answer():
            quick = piece[: max(0, after - passed)]
            await call.send(quick)
            passed += len(piece)
            for byte in piece[len(quick) :]:
                await asyncio.sleep(every_s)
                await call.send(bytes([byte]))

    return fault


def cut(after: int, *, how: str) -> Fault:
    """Pass ``after`` bytes; then ``reset``, ``close`` in order, or ``hang`` half-open."""

    async def fault(call: Call) -> None:
        left = after
        async for piece in call.answer():
            await call.send(piece[:left])
            left -= len(piece)
            if left <= 0:
                break
        if how == "hang":
            await asyncio.sleep(60)
        elif how == "reset":
            # What was written must leave before the reset, which would drop it.
            await asyncio.sleep(0.05)
            call.reset()

    return fault


def rewrite(change: Callable[[bytes], bytes]) -> Fault:
    """The whole answer, changed: a wrong length, no finish reason, an error in the stream."""

    async def fault(call: Call) -> None:
        whole = b"".join([piece async for piece in call.answer()])
        await call.send(change(whole))

    return fault


def instead(answer: bytes) -> Fault:
    """Bytes of our own; the real party is not asked."""

    async def fault(call: Call) -> None:
        await call.send(answer)

    return fault


def status(code: int, *, retry_after: str = "", body: bytes = b"{}", more: str = "") -> Fault:
    wait = f"retry-after: {retry_after}\r\n" if retry_after else ""
    head = f"HTTP/1.1 {code} X\r\ncontent-type: application/json\r\n{wait}{more}"
    return instead(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


def endless(piece: bytes, *, kind: str = "application/json", limit: int = 1 << 34) -> Fault:
    """A head, then ``piece`` for ever (or until ``limit`` bytes have gone)."""

    async def fault(call: Call) -> None:
        await call.send(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n".encode())
        sent = 0
        while sent < limit:
            await call.send(piece)
            sent += len(piece)

    return fault


class Proxy:
    """Plays one fault a request, then repeats the last. ``requests`` counts what came."""

    def __init__(
        self, *faults: Fault, target: tuple[str, int], tls: ssl.SSLContext | None = None
    ) -> None:
        self.faults = list(faults) or [honest]
        self.target = target
        self.tls = tls
        self.requests = 0
        self.hung_up = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    def next_fault(self) -> Fault:
        return self.faults.pop(0) if len(self.faults) > 1 else self.faults[0]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._open.add(task)
        with suppress(asyncio.CancelledError):
            await task
        self._open.discard(task)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            self.requests += 1
            # The pool of the router must not meet a connection that a fault has left behind.
            head = head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
            call = Call(client=writer, target=self.target, request=head + body)
            playing = asyncio.ensure_future(self.next_fault()(call))
            leaving = asyncio.ensure_future(reader.read(1))
            await asyncio.wait({playing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                self.hung_up += 1
            for task in (playing, leaving):
                task.cancel()
            await asyncio.gather(playing, leaving, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()


class Line:
    """A wire between two parties, in our hand: it can be held in either direction, and cut.

    With ``only``, a connection is touched when those bytes are in what its client says first.
    """

    def __init__(self, target: tuple[str, int], *, only: bytes = b"") -> None:
        self.target = target
        self.port = 0
        self.is_open = True
        self._only = only
        self._may_pass = {"up": asyncio.Event(), "down": asyncio.Event()}
        self._let_through: dict[str, int | None] = {"up": None, "down": None}
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.release()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()

    def hold(self, direction: str, *, after: int = 0) -> None:
        """Keep back what goes ``up`` (to the target) or ``down``, after so many more pieces."""
        self._let_through[direction] = after
        if after == 0:
            self._may_pass[direction].clear()

    def release(self) -> None:
        for direction, event in self._may_pass.items():
            self._let_through[direction] = None
            event.set()

    def cut(self) -> None:
        """Reset every connection that is touched."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_open:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        touched = asyncio.Event()
        if not self._only:
            touched.set()
        ends = {writer, far_writer}

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: str) -> None:
            with suppress(OSError):
                while piece := await source.read(65536):
                    if way == "up" and self._only and self._only in piece:
                        touched.set()
                    if touched.is_set():
                        self._writers |= ends
                        await self._pass(way)
                    sink.write(piece)
                    await sink.drain()
            for end in ends:
                end.close()

        pumps = [
            asyncio.ensure_future(pump(reader, far_writer, "up")),
            asyncio.ensure_future(pump(far_reader, writer, "down")),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writers -= ends
            for task in pumps:
                task.cancel()
            for end in ends:
                end.close()

    async def _pass(self, way: str) -> None:
        await self._may_pass[way].wait()
        left = self._let_through[way]
        if left is not None:
            self._let_through[way] = left - 1
            if left - 1 <= 0:
                self._may_pass[way].clear()
