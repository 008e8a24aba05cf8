"""A stored request as turns of plain text: whatever a client or a model wrote stays text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a request, as text only."""

    role: str
    text: str


def messages_of(request_text: str) -> list[Message]:
    """The turns of a stored request; parts that are no text are named in brackets."""
    try:
        fields = json.loads(request_text)
    except ValueError:
        return [Message(role="request", text=request_text)]
    turns = fields.get("messages") if isinstance(fields, dict) else None
    if not isinstance(turns, list):
        return [Message(role="request", text=request_text)]
    return [
        Message(role=str(turn.get("role", "")), text=_content(turn.get("content")))
        for turn in turns
        if isinstance(turn, dict)
    ]


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_part(part) for part in content)
    return "" if content is None else json.dumps(content, ensure_ascii=False)


def _part(part: Any) -> str:
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type", "part") if isinstance(part, dict) else "part"
    return f"[{kind}]"
