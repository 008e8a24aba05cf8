"""One backend that speaks the OpenAI API: ``send`` and ``stream``, and nothing else.

It carries bytes. It does not decide, retry or record; it turns every failure into a problem.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isfinite
from time import time
from types import TracebackType

from routing.adapters.connection import Clocks, Connection
from routing.adapters.egress import Guard
from routing.adapters.pool import Pool
from routing.adapters.problems import BadAnswer, BadStatus, UpstreamProblem

ANSWER_LIMIT = 8 * 1024 * 1024
_LONGEST_WAIT_S = 86_400.0
_ERROR_LIMIT = 16 * 1024
_NO_HEADER = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    body: bytes
    upstream_id: str


def _retry_after_s(value: str) -> float | None:
    if not value:
        return None
    try:
        wait = float(value)
    except ValueError:
        try:
            wait = parsedate_to_datetime(value).timestamp() - time()
        except (TypeError, ValueError, OverflowError):
            return None
    # "nan" and "inf" are numbers too, and mean nothing here.
    return max(0.0, min(wait, _LONGEST_WAIT_S)) if isfinite(wait) else None


class OpenAICompatible:
    def __init__(
        self, *, name: str, base_url: str, secret: str, guard: Guard, max_in_flight: int
    ) -> None:
        self.name = name
        self._pool = Pool(name=name, base_url=base_url, guard=guard, limit=max_in_flight)
        fields = {
            "host": self._pool.host_header,
            "content-type": "application/json",
            "accept": "*/*",
            "accept-encoding": "identity",
            "user-agent": "signalbox",
            # A secret that no header can carry authorises nothing: the backend will say so.
            **({"authorization": f"Bearer {_NO_HEADER.sub('', secret)}"} if secret else {}),
        }
        self._fields = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
        self._heads: dict[str, bytes] = {}

    async def close(self) -> None:
        self._pool.close()

    def _request(self, path: str, body: bytes, request_id: str, traceparent: bytes) -> bytes:
        head = self._heads.get(path)
        if head is None:
            line = f"POST {self._pool.path}{path} HTTP/1.1\r\n"
            head = self._heads[path] = f"{line}{self._fields}x-request-id: ".encode("latin-1")
        if not request_id.isprintable() or not request_id.isascii():
            request_id = _NO_HEADER.sub("", request_id)
        return b"%b%b%b\r\ncontent-length: %d\r\n\r\n%b" % (
            head,
            request_id.encode(),
            b"\r\ntraceparent: " + traceparent if traceparent else b"",
            len(body),
            body,
        )

    def _check(self, connection: Connection, body: bytes) -> None:
        headers = connection.headers
        if connection.status != 200:
            raise BadStatus(
                body[:_ERROR_LIMIT].decode("utf-8", "replace"),
                status=connection.status,
                retry_after_s=_retry_after_s(headers.get(b"retry-after", b"").decode("latin-1")),
            )
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise BadAnswer(f"{self.name} sent a compressed answer that was not asked for")

    async def send(
        self, path: str, body: bytes, *, clocks: Clocks, request_id: str, traceparent: bytes = b""
    ) -> Reply:
        """Post ``body`` and read the whole answer, at most ``ANSWER_LIMIT`` bytes.

        Raises UpstreamProblem and nothing else.
        """
        since = asyncio.get_running_loop().time()
        connection = await self._pool.take(clocks)
        try:
            request = self._request(path, body, request_id, traceparent)
            connection.ask(request, clocks, since=since, whole_up_to=ANSWER_LIMIT)
            answer = await connection.whole()
            self._check(connection, answer)
            upstream_id = connection.headers.get(b"x-request-id", b"")[:128].decode("latin-1")
            return Reply(body=answer, upstream_id=upstream_id)
        finally:
            self._pool.release(connection)

    def stream(
        self, path: str, body: bytes, *, clocks: Clocks, request_id: str, traceparent: bytes = b""
    ) -> Stream:
        """Post ``body``; the answer is an asynchronous context that yields the raw bytes."""
        return Stream(self, self._request(path, body, request_id, traceparent), clocks)


class Stream:
    """A streamed answer: entering it waits for the headers, iterating gives bytes as they come.

    Leaving it before the end closes the connection, so that the backend stops its work.
    """

    __slots__ = ("_adapter", "_clocks", "_connection", "_request")

    def __init__(self, adapter: OpenAICompatible, request: bytes, clocks: Clocks) -> None:
        self._adapter = adapter
        self._request = request
        self._clocks = clocks
        self._connection: Connection | None = None

    async def __aenter__(self) -> Stream:
        adapter = self._adapter
        since = asyncio.get_running_loop().time()
        connection = await adapter._pool.take(self._clocks)
        try:
            connection.ask(self._request, self._clocks, since=since)
            await connection.head()
            if connection.status != 200:
                adapter._check(connection, await _some(connection))
            adapter._check(connection, b"")
            if not connection.headers.get(b"content-type", b"").startswith(b"text/event-stream"):
                raise BadAnswer(f"{adapter.name} answered a stream request without an event stream")
        except BaseException:
            adapter._pool.release(connection)
            raise
        self._connection = connection
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._adapter._pool.release(self._connection)
            self._connection = None

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        if self._connection is None:
            raise StopAsyncIteration
        data = await self._connection.read()
        if not data:
            raise StopAsyncIteration
        return data


async def _some(connection: Connection) -> bytes:
    """The beginning of an error's text."""
    text = b""
    while len(text) < _ERROR_LIMIT and (part := await connection.read()):
        text += part
    return text


__all__ = ["Clocks", "OpenAICompatible", "Reply", "Stream", "UpstreamProblem"]
