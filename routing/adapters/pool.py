"""The connections to one backend: made through the guard, kept alive, bounded in number."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from routing.adapters.connection import Clocks, Connection
from routing.adapters.egress import AddressNotAllowed, Guard
from routing.adapters.problems import Forbidden, TooSlow, Unreachable, Untrusted

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 30.0
_RESOLVED_FOR_S = 60.0


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Pool:
    """Belongs to the loop of its first request. ``limit`` 0 means no limit."""

    def __init__(self, *, name: str, base_url: str, guard: Guard, limit: int = 0) -> None:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        self.name = name
        self._host = host if host.isascii() else host.encode("idna").decode()
        self._is_tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._is_tls else 80)
        literal = f"[{self._host}]" if ":" in self._host else self._host
        is_usual = self._port == (443 if self._is_tls else 80)
        self.host_header = literal if is_usual else f"{literal}:{self._port}"
        self.path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~-._")
        self._guard = guard
        self._limit = limit
        self._in_use = 0
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._resolved: tuple[float, list[Any]] = (0.0, [])
        self._sweep: asyncio.TimerHandle | None = None

    async def take(self, clocks: Clocks) -> Connection:
        """A connection for one exchange; give it back by ``release``. Raises UpstreamProblem."""
        if self._limit and self._in_use >= self._limit:
            await self._slot(clocks)
        else:
            self._in_use += 1
        try:
            return self._kept_alive() or await self._connect(clocks)
        except BaseException:
            self._free()
            raise

    def release(self, connection: Connection) -> None:
        """End the exchange; the connection is kept where its answer was read to the end."""
        if connection.finish():
            loop = asyncio.get_running_loop()
            connection.idle_since = loop.time()
            self._idle.append(connection)
            if self._sweep is None:
                self._sweep = loop.call_later(KEEP_ALIVE_S, self._sweep_idle)
        self._free()

    def close(self) -> None:
        """End every connection, those in use too."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()

    def _kept_alive(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _sweep_idle(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = None
        before = loop.time() - KEEP_ALIVE_S
        for connection in [one for one in self._idle if one.idle_since <= before]:
            self._idle.remove(connection)
            connection.abort()
        if self._idle:
            self._sweep = loop.call_later(KEEP_ALIVE_S / 2, self._sweep_idle)

    async def _slot(self, clocks: Clocks) -> None:
        """Wait until one of the backend's requests has ended; its slot is handed over."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(min(clocks.first_byte_s, clocks.total_s)):
                await waiter
        except BaseException as problem:
            if waiter.done() and not waiter.cancelled():
                self._free()
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            if isinstance(problem, TimeoutError):
                raise TooSlow(f"{self.name} had no room for another request in time") from None
            raise

    def _free(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._in_use -= 1

    async def _connect(self, clocks: Clocks) -> Connection:
        try:
            async with asyncio.timeout(min(clocks.connect_s, clocks.first_byte_s, clocks.total_s)):
                return await self._connected()
        except TimeoutError as problem:
            raise TooSlow(f"{self.name} could not be reached in time") from problem
        except AddressNotAllowed as problem:
            raise Forbidden(str(problem)) from problem
        except ssl.SSLError as problem:
            # Whoever answers there is not whom the registry names: a matter for security.
            log.error("The backend %s is not trusted: %s", self.name, problem)
            raise Untrusted(f"{self.name} cannot prove who it is") from problem
        except (OSError, UnicodeError) as problem:
            raise Unreachable(f"{self.name} cannot be reached") from problem

    async def _connected(self) -> Connection:
        """The first address that takes us. The guard sees every one; none gets round it."""
        loop = asyncio.get_running_loop()
        problem: OSError | None = None
        for info in await self._addresses(loop):
            try:
                return await self._connect_to(loop, info)
            except AddressNotAllowed as refused:
                problem = problem or refused
            except OSError as failed:
                problem = failed
        self._resolved = (0.0, [])
        raise problem or OSError("no address")

    async def _addresses(self, loop: asyncio.AbstractEventLoop) -> list[Any]:
        until, known = self._resolved
        if known and loop.time() < until:
            return known
        import socket

        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        self._resolved = (loop.time() + _RESOLVED_FOR_S, found)
        return found

    async def _connect_to(self, loop: asyncio.AbstractEventLoop, info: Any) -> Connection:
        made = self._guard.socket(info)
        try:
            made.setblocking(False)
            await loop.sock_connect(made, info[4])
            _, connection = await loop.create_connection(
                lambda: Connection(loop, self.name, self._lost),
                sock=made,
                ssl=_trust() if self._is_tls else None,
                server_hostname=self._host if self._is_tls else None,
            )
        except BaseException:
            made.close()
            raise
        self._open.add(connection)
        return connection
