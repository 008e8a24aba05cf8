"""Reads a backend's chat stream chunk by chunk, for surfaces whose events differ from its own.

The rules are those of the chat stream: an error inside it, an event that is not JSON, or one that
is too long is a bad answer; usage is read from any chunk; comments are not passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from routing.adapters.problems import BadAnswer
from routing.gateway.attempts import Usage, usage_of
from routing.gateway.sse import EVENT_LIMIT


def payloads_of(events: list[bytes]) -> Iterator[bytes]:
    for event in events:
        for line in event.split(b"\n"):
            if line.startswith(b"data:"):
                yield line[5:].strip()
                break


def chunk_of(payload: bytes) -> dict[str, Any]:
    try:
        chunk = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise BadAnswer("The backend sent an event that is not JSON.") from None
    if not isinstance(chunk, dict):
        raise BadAnswer("The backend sent an event that is not an object.")
    if chunk.get("error"):
        raise BadAnswer("The backend sent an error inside its stream.")
    if not isinstance(chunk.get("choices"), list):
        raise BadAnswer("The backend sent an event without choices.")
    return chunk


class TranslatedStream:
    """Calls ``said``, ``called`` and ``refused`` as the words arrive; subclasses write events."""

    def __init__(self, *, keeps_text: bool) -> None:
        self._pending = b""
        self._keeps_text = keeps_text
        self.has_content = False
        self.has_finished = False
        self.finish_reason = ""
        self.usage: dict[str, Any] | None = None
        self.text: list[str] = []
        self.events = 0

    def feed(self, data: bytes) -> bytes:
        pending = self._pending + data.replace(b"\r\n", b"\n")
        *events, self._pending = pending.split(b"\n\n")
        if len(self._pending) > EVENT_LIMIT:
            raise BadAnswer("The backend sent an event that is too long.")
        out = []
        for payload in payloads_of(events):
            if payload != b"[DONE]":
                self.events += 1
                out.append(self._take(chunk_of(payload)))
        return b"".join(out)

    def _take(self, chunk: dict[str, Any]) -> bytes:
        if isinstance(chunk.get("usage"), dict):
            self.usage = chunk["usage"]
        first = next((c for c in chunk["choices"] if isinstance(c, dict)), None)
        return b"" if first is None else self.take_choice(first)

    def take_choice(self, choice: dict[str, Any]) -> bytes:
        """Write the events of one delta, and remember how the answer ended."""
        delta = choice.get("delta") or {}
        out = []
        if isinstance(text := delta.get("content"), str) and text:
            self.has_content = True
            if self._keeps_text:
                self.text.append(text)
            out.append(self.said(text))
        if isinstance(text := delta.get("refusal"), str) and text:
            self.has_content = True
            out.append(self.refused(text))
        for place, call in enumerate(delta.get("tool_calls") or ()):
            if isinstance(call, dict):
                self.has_content = True
                out.append(self.called(call, place))
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            self.has_finished = self.has_content = True
            self.finish_reason = reason
        return b"".join(out)

    def replay(self, answer: dict[str, Any]) -> bytes:
        """A whole chat completion as this stream, from its first event to its last."""
        choice = answer["choices"][0]
        usage = usage_of(answer.get("usage"), estimated_in=0, estimated_out=0)
        return self.take_choice({**choice, "delta": choice["message"]}) + self.closing(usage)

    def said(self, text: str) -> bytes:
        raise NotImplementedError

    def refused(self, text: str) -> bytes:
        raise NotImplementedError

    def called(self, call: dict[str, Any], place: int) -> bytes:
        """``call`` is one entry of ``tool_calls``; only its first piece has id and name."""
        raise NotImplementedError

    def closing(self, usage: Usage) -> bytes:
        raise NotImplementedError


def event(kind: str, **fields: Any) -> bytes:
    """One named event, its type repeated inside as both APIs do."""
    return b"event: %b\ndata: %b\n\n" % (
        kind.encode(),
        orjson.dumps({"type": kind, **fields}),
    )
