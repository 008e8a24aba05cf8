"""Takes the log-probabilities out of what a backend sends, unless the client asked for them too."""

from __future__ import annotations

from time import monotonic
from typing import Any

import orjson

from routing.adapters.problems import BadAnswer
from routing.gateway.confidence import Token, tokens_of
from routing.gateway.sse import EVENT_LIMIT

PREFIX_TOKENS = 48
PREFIX_S = 0.7


def trimmed(choice: dict[str, Any], asked: int | None) -> None:
    """Leave in a choice what its client asked for: ``None`` nothing, else so many alternatives."""
    logprobs = choice.get("logprobs")
    if asked is None:
        if logprobs is not None:
            choice["logprobs"] = None
        return
    for item in (logprobs or {}).get("content") or ():
        if isinstance(item, dict) and isinstance(item.get("top_logprobs"), list):
            item["top_logprobs"] = item["top_logprobs"][:asked]


class Tap:
    """One attempt's stream on its way to the client; keeps the tokens of its first choice."""

    def __init__(self, asked: int | None) -> None:
        self._asked = asked
        self._pending = b""
        self._first_at: float | None = None
        self.tokens: list[Token] = []
        self.is_silent = False
        self.is_settled = False

    @property
    def is_due(self) -> bool:
        """Whether enough was read to judge: 48 tokens, 0.7 s, or words without a report."""
        if self._first_at is None:
            return False
        late = monotonic() - self._first_at >= PREFIX_S
        return self.is_silent or late or len(self.tokens) >= PREFIX_TOKENS

    def feed(self, data: bytes) -> bytes:
        pending = self._pending + data.replace(b"\r\n", b"\n")
        *events, self._pending = pending.split(b"\n\n")
        if len(self._pending) > EVENT_LIMIT:
            raise BadAnswer("The backend sent an event that is too long.")
        return b"".join([self._event(event) + b"\n\n" for event in events])

    def _event(self, event: bytes) -> bytes:
        if not event.startswith(b"data:") or b'"choices"' not in event:
            return event
        try:
            chunk = orjson.loads(event[5:])
            choices = [one for one in chunk["choices"] if isinstance(one, dict)]
        except (ValueError, KeyError, TypeError):
            # The reader behind says what is wrong with it.
            return event
        for choice in choices:
            self._look_at(choice)
            trimmed(choice, self._asked)
        return b"data: " + orjson.dumps(chunk)

    def _look_at(self, choice: dict[str, Any]) -> None:
        if self.is_settled or choice.get("index", 0) != 0:
            return
        found = tokens_of(choice.get("logprobs"))
        self.tokens += found
        delta = choice.get("delta")
        if isinstance(delta, dict) and (delta.get("content") or delta.get("tool_calls")):
            self._first_at = self._first_at or monotonic()
            self.is_silent = not self.tokens
