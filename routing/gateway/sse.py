"""Reads a backend's event stream: when to commit, what it used, whether it ended well.

Events pass as bytes; only those that can matter are parsed. The end marker is never passed on here:
the caller sends its own once the outcome is recorded.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from routing.adapters.problems import BadAnswer

EVENT_LIMIT = 1024 * 1024
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
_USED = re.compile(rb'"usage"\s*:\s*\{')
_ERROR = re.compile(rb'"error"\s*:\s*[^n\s]')


class ChatStream:
    """One attempt's stream. A fresh one each time, so nothing leaks between two backends."""

    def __init__(
        self, *, upstream_model: str, alias: str, wants_usage: bool, keeps_text: bool
    ) -> None:
        self._pending = b""
        self._renames = [
            (orjson.dumps({"model": upstream_model})[1:-1], orjson.dumps({"model": alias})[1:-1]),
        ]
        spaced = self._renames[0][0].replace(b'"model":', b'"model": ', 1)
        self._renames.append((spaced, self._renames[0][1]))
        self._wants_usage = wants_usage
        self._keeps_text = keeps_text
        self.has_content = False
        self.has_finished = False
        self.is_done = False
        self.usage: dict[str, Any] | None = None
        self.model = ""
        self.text: list[str] = []
        self.events = 0

    def feed(self, data: bytes) -> bytes:
        """Take raw bytes and return the whole events that may go to the client.

        Raises BadAnswer for an error event, an event over ``EVENT_LIMIT`` or one that is not JSON.
        """
        pending = self._pending + data.replace(b"\r\n", b"\n")
        *events, self._pending = pending.split(b"\n\n")
        if len(self._pending) > EVENT_LIMIT:
            raise BadAnswer("The backend sent an event that is too long.")
        passed = [event for event in map(self._event, events) if event]
        if not passed:
            return b""
        out = b"\n\n".join(passed) + b"\n\n"
        for theirs, ours in self._renames:
            out = out.replace(theirs, ours)
        return out

    def closing(self, usage: object) -> bytes:
        return b"data: [DONE]\n\n"

    def _event(self, event: bytes) -> bytes:
        if not event.startswith(b"data:"):
            # Comments keep a connection alive; ours are our own. Named events have a data line.
            lines = [line for line in event.split(b"\n") if line.startswith(b"data:")]
            if not lines:
                return b""
            event = lines[0]
        payload = event[5:].strip()
        if payload == b"[DONE]":
            self.is_done = True
            return b""
        self.events += 1
        if _FINISHED.search(payload):
            self.has_finished = True
        is_usage = _USED.search(payload) is not None
        if not self.has_content or is_usage or self._keeps_text or _ERROR.search(payload):
            return self._parsed(event, payload, is_usage=is_usage)
        return event

    def _parsed(self, event: bytes, payload: bytes, *, is_usage: bool) -> bytes:
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            raise BadAnswer("The backend sent an event that is not JSON.") from None
        if not isinstance(chunk, dict):
            raise BadAnswer("The backend sent an event that is not an object.")
        if chunk.get("error"):
            raise BadAnswer("The backend sent an error inside its stream.")
        if isinstance(model := chunk.get("model"), str):
            self.model = model
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            raise BadAnswer("The backend sent an event without choices.")
        if is_usage and isinstance(chunk.get("usage"), dict):
            self.usage = chunk["usage"]
            if not choices:
                return event if self._wants_usage else b""
        for choice in choices:
            self._look_at(choice.get("delta") or {} if isinstance(choice, dict) else {})
        if self.has_finished:
            self.has_content = True
        return event

    def _look_at(self, delta: dict[str, Any]) -> None:
        content = delta.get("content")
        if (
            content
            or delta.get("tool_calls")
            or delta.get("refusal")
            or delta.get("reasoning_content")
        ):
            self.has_content = True
        if self._keeps_text and isinstance(content, str):
            self.text.append(content)
