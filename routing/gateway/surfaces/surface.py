"""What an API that clients speak is made of: how it reads, answers, streams and refuses.

Carrying, recording and holding are the same for all and know nothing of shapes. What is common is
the chat completion: a surface turns its request into one, and the backend's answer back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from routing.gateway.attempts import Usage, check_answer
from routing.gateway.parse import ChatRequest
from routing.gateway.planning import Plan
from routing.gateway.snapshot import LiveBackend


class StreamReader(Protocol):
    """One attempt's stream: takes the backend's bytes, gives what may go to the client.

    A fresh one each time, so that nothing leaks between two backends.
    """

    has_content: bool
    has_finished: bool
    usage: dict[str, Any] | None
    text: list[str]
    events: int

    def feed(self, data: bytes) -> bytes:
        """Raises BadAnswer for an error inside the stream, or for what is no event stream."""
        ...

    def closing(self, usage: Usage) -> bytes:
        """The events after the last word, sent once the outcome is recorded."""
        ...


class Surface:
    """Defaults are those of OpenAI's chat API."""

    # Whether its answers are words: only those can come from a person or from the policy.
    speaks = True

    def read(self, body: bytes) -> ChatRequest:
        """Read a request strictly; raises ApiError 400 for what is not one."""
        raise NotImplementedError

    def check(self, body: bytes) -> dict[str, Any]:
        """Return the backend's whole answer or raise BadAnswer; status 200 proves nothing."""
        return check_answer(body)

    def usage(self, answer: dict[str, Any]) -> Any:
        """What the backend says that it used, with the names of a chat completion."""
        return answer.get("usage")

    def whole(self, plan: Plan, answer: dict[str, Any]) -> bytes:
        """Write a whole answer from a chat completion."""
        raise NotImplementedError

    def reader(self, plan: Plan, backend: LiveBackend) -> StreamReader:
        """A reader for one attempt's stream."""
        raise NotImplementedError

    def replayed(self, plan: Plan, answer: dict[str, Any]) -> bytes:
        """Write a whole answer as an event stream, its end included."""
        raise NotImplementedError

    def error(self, fields: Mapping[str, Any], status: int) -> bytes:
        """Write an error's fields as the body of a refusal."""
        return orjson.dumps({"error": fields})

    def error_event(
        self, fields: Mapping[str, Any], status: int, reader: StreamReader | None
    ) -> bytes:
        """Write an error as the last event of a stream that has begun."""
        return b"data: " + self.error(fields, status) + b"\n\n"
