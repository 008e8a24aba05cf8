"""A well-behaved backend that keeps its own books: who was sent here, when, and was it recorded.

A deterministic stand-in, not a model. Told to, it hangs or speaks slowly.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.upstream import completion, event, head

_REQUEST_ID = re.compile(rb"\r\nx-request-id: *([^\r]+)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
WORDS = [f"word{number} " for number in range(12)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    request_id: str
    at: float
    text: str


class Backend:
    """``on_visit`` is called in the loop, before a byte is answered."""

    def __init__(self, *, pace_s: float = 0.0) -> None:
        self.port = 0
        self.pace_s = pace_s
        self.hangs = False
        self.visits: list[Visit] = []
        self.hung_up = 0
        self.on_visit: Callable[[Visit], None] = lambda visit: None
        self._server: asyncio.Server | None = None

    def sent(self, request_id: str) -> int:
        return sum(visit.request_id == request_id for visit in self.visits)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._one(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            self.hung_up += 1
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(asked)
        body = json.loads(await reader.readexactly(int(length[1]))) if length else {}
        if asked.startswith(b"GET"):
            listed = b'{"object":"list","data":[{"id":"theirs","object":"model"}]}'
            writer.write(head(200, length=len(listed)) + listed)
            return
        # Read before the visit is told: whoever waits for it may then change the pace.
        pace_s = self.pace_s
        found = _REQUEST_ID.search(asked)
        visit = Visit(
            request_id=found[1].decode() if found else "",
            at=time.time(),
            text=str(body.get("messages", [{}])[-1].get("content", "")),
        )
        self.visits.append(visit)
        self.on_visit(visit)
        stream = bool(body.get("stream"))
        speaking = asyncio.ensure_future(self._speak(writer, stream=stream, pace_s=pace_s))
        leaving = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({speaking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        is_done = speaking.done()
        for task in (speaking, leaving):
            task.cancel()
        await asyncio.gather(speaking, leaving, return_exceptions=True)
        if not is_done or writer.is_closing():
            raise ConnectionError("the caller left")

    async def _speak(self, writer: asyncio.StreamWriter, *, stream: bool, pace_s: float) -> None:
        if self.hangs:
            await asyncio.sleep(120)
        if not stream:
            await asyncio.sleep(pace_s)
            answer = completion("".join(WORDS))
            writer.write(head(200, length=len(answer)) + answer)
            await writer.drain()
            return
        writer.write(head(200, length=None, kind="text/event-stream"))
        for word in WORDS:
            writer.write(event(word))
            await writer.drain()
            await asyncio.sleep(pace_s)
        writer.write(event(finish="stop") + b"data: [DONE]\n\n")
        await writer.drain()
        writer.close()
