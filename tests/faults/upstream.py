"""A scripted backend on a real socket: each connection gets the next act, however rude it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

JSON = "application/json"
Act = Callable[[asyncio.StreamWriter], Awaitable[None]]


def completion(text: str = "fine", **extra: object) -> bytes:
    return json.dumps(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "theirs",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
            **extra,
        }
    ).encode()


def head(
    status: int, *, length: int | None, kind: str = "application/json", more: str = ""
) -> bytes:
    size = f"content-length: {length}\r\n" if length is not None else "connection: close\r\n"
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{size}{more}\r\n".encode()


def answer(body: bytes = b"", *, status: int = 200, kind: str = JSON, more: str = "") -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, length=len(body), kind=kind, more=more) + body)
        await writer.drain()

    return act


def stream(*pieces: bytes, then: str = "close", pause_s: float = 0.0) -> Act:
    """An event stream; ``then`` is close, reset, or hang."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, length=None, kind="text/event-stream"))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if then == "reset":
            writer.transport.abort()
        elif then == "hang":
            await asyncio.sleep(30)
        else:
            writer.close()

    return act


def event(text: str | None = None, *, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    chunk = {"id": "c1", "model": "theirs", "choices": [{"delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


class Upstream:
    """Plays one act a request and then repeats the last; remembers the bodies that it was sent."""

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts) or [answer(completion())]
        self.bodies: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.hung_up = 0
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.hung_up += 1
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(text.split("content-length:")[1].split("\r\n")[0])
        self.heads.append(text)
        self.bodies.append(json.loads(await reader.readexactly(length)))
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        playing = asyncio.ensure_future(act(writer))
        leaving = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({playing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            raise ConnectionError("the caller left")
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        if writer.is_closing():
            raise ConnectionError("the act closed it")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Upstream]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
