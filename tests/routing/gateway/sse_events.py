"""Takes an event stream apart, as an SDK would."""

from __future__ import annotations

import json
from typing import Any


def named(text: str) -> list[dict[str, Any]]:
    """The data of every event, which must repeat the event's own name as its type."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if lines:
            data = json.loads(lines["data"])
            assert data["type"] == lines["event"]
            found.append(data)
    return found


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def chunk(delta: dict[str, Any], *, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c1", "model": "theirs", "choices": [choice], **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


TOOL_PIECES = (
    chunk(
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "find_parcel", "arguments": ""},
                }
            ]
        }
    ),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"number"'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 7}"}}]}),
    chunk({}, finish="tool_calls", usage={"prompt_tokens": 30, "completion_tokens": 8}),
)
