"""One backend that speaks the OpenAI API: ``send`` and ``stream``, and nothing else.

It carries bytes. It does not decide, retry or record; it turns every failure into a problem.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import aiohttp

from routing.adapters.egress import AddressNotAllowed, Guard, connector
from routing.adapters.problems import (
    BadAnswer,
    BadStatus,
    Forbidden,
    TooSlow,
    Unreachable,
    UpstreamProblem,
)

ANSWER_LIMIT = 8 * 1024 * 1024
_ERROR_LIMIT = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Seconds. ``first_byte_s`` runs until the answer's headers, ``idle_s`` between two reads."""

    connect_s: float = 3.0
    first_byte_s: float
    idle_s: float
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    body: bytes
    upstream_id: str


def _retry_after_s(value: str | None) -> float | None:
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (TypeError, ValueError, OverflowError):
        return None


class OpenAICompatible:
    def __init__(
        self, *, name: str, base_url: str, secret: str, guard: Guard, max_in_flight: int
    ) -> None:
        self.name = name
        self._base = base_url.rstrip("/")
        self._guard = guard
        self._limit = max_in_flight
        self._headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": "signalbox",
            **({"authorization": f"Bearer {secret}"} if secret else {}),
        }
        self._session: aiohttp.ClientSession | None = None

    def _client(self) -> aiohttp.ClientSession:
        # Made on first use: the session belongs to the running loop.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=connector(self._guard, limit=self._limit),
                auto_decompress=False,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=2**17,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def _posted(
        self, path: str, body: bytes, clocks: Clocks, request_id: str
    ) -> AsyncIterator[Any]:
        timeout = aiohttp.ClientTimeout(
            total=clocks.total_s, sock_connect=clocks.connect_s, sock_read=clocks.idle_s
        )
        try:
            call = self._client().post(
                self._base + path,
                data=body,
                headers={**self._headers, "x-request-id": request_id},
                timeout=timeout,
                allow_redirects=False,
            )
            if clocks.first_byte_s < clocks.total_s:
                response = await asyncio.wait_for(call, clocks.first_byte_s)
            else:
                response = await call
        except TimeoutError as problem:
            raise TooSlow(f"{self.name} did not answer in time") from problem
        except aiohttp.ClientConnectorError as problem:
            if isinstance(problem.os_error, AddressNotAllowed):
                raise Forbidden(str(problem.os_error)) from problem
            raise Unreachable(f"{self.name} cannot be reached") from problem
        except (aiohttp.ClientError, OSError) as problem:
            raise Unreachable(f"{self.name} broke the connection") from problem
        try:
            if response.status != 200:
                await self._fail(response)
            yield response
        except TimeoutError as problem:
            raise TooSlow(f"{self.name} stopped in the middle of its answer") from problem
        except aiohttp.ClientError as problem:
            raise BadAnswer(f"{self.name} broke off in the middle of its answer") from problem
        finally:
            # Not released to the pool unless it was read to its end; then this is a no-op.
            response.close() if not response.content.at_eof() else response.release()

    async def _fail(self, response: aiohttp.ClientResponse) -> None:
        text = (await response.content.read(_ERROR_LIMIT)).decode("utf-8", "replace")
        raise BadStatus(
            text,
            status=response.status,
            retry_after_s=_retry_after_s(response.headers.get("retry-after")),
        )

    async def send(self, path: str, body: bytes, *, clocks: Clocks, request_id: str) -> Reply:
        """Post ``body`` and read the whole answer, at most ``ANSWER_LIMIT`` bytes.

        Raises UpstreamProblem and nothing else.
        """
        async with self._posted(path, body, clocks, request_id) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise BadAnswer(f"{self.name} sent a compressed answer that was not asked for")
            if (response.content_length or 0) > ANSWER_LIMIT:
                raise BadAnswer(f"{self.name} sent more than {ANSWER_LIMIT} bytes")
            if response.content_length is not None:
                answer = await response.read()
            else:
                answer = await self._bounded(response)
            return Reply(body=answer, upstream_id=response.headers.get("x-request-id", "")[:128])

    async def _bounded(self, response: aiohttp.ClientResponse) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > ANSWER_LIMIT:
                raise BadAnswer(f"{self.name} sent more than {ANSWER_LIMIT} bytes")
            parts.append(part)
        return b"".join(parts)

    @asynccontextmanager
    async def stream(
        self, path: str, body: bytes, *, clocks: Clocks, request_id: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Post ``body`` and yield an iterator over the raw bytes of the event stream."""
        async with self._posted(path, body, clocks, request_id) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise BadAnswer(f"{self.name} answered a stream request without an event stream")
            yield response.content.iter_any()


__all__ = ["Clocks", "OpenAICompatible", "Reply", "UpstreamProblem"]
