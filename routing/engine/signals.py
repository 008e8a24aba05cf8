"""Measures the signals of one request from its parsed body. Total: odd bodies give fewer signals.

The last user turn is what is classified, without the text that coding agents and other harnesses
put around it; personal data is looked for in everything that would be sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from routing.engine.detectors import personal_tags
from routing.engine.language import language_of
from routing.engine.registry import FIRST_REGISTRY, Registry
from routing.engine.topics import topic_of
from routing.engine.types import SignalValue

# Blocks that a harness adds to a user turn; people did not write them.
BOILERPLATE = (
    "system-reminder",
    "system_reminder",
    "environment_context",
    "environment_details",
    "user_instructions",
    "local-command-stdout",
    "command-message",
)
MAX_CLASSIFIED = 8_000
_CONTEXT_TURNS, _CONTEXT_CHARS = 2, 600
_IMAGE_TOKENS, _MESSAGE_TOKENS = 800, 4

# In ASCII text everything but letters and the two joiners is a space: splitting is three times
# faster than a search for words.
_APART = {code: " " for code in range(128) if not chr(code).islower() and chr(code) not in "'-"}
_JOINERS = re.compile(r"['-]+")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
# What must stand somewhere in the text, from the cheapest to look for to the whole shape.
_CODE = tuple(
    (character, marker, re.compile(pattern))
    for character, marker, pattern in (
        ("`", "```", r"```"),
        ("<", "</", r"</\w"),
        ("(", "def ", r"\bdef \w+\("),
        ("", "class ", r"\bclass \w+[:({]"),
        ("(", "function", r"\bfunction \w*\("),
        ("#", "#include", r"#include\b"),
        ("=", "=>", r"=> ?[{(\w]"),
        ("=", " = ", r"\b(?:const|let|var) \w+ = "),
        ("", "import ", r"(?m)^ *(?:import|from) [\w.]+(?: import [\w, *]+)?;?$"),
        ("S", "SELECT", r"\bSELECT\b.{1,80}\bFROM\b"),
        (";", ";\n", r";\n"),
        ("{", "{\n", r"[{]\n"),
        ("(", "printf(", r"\bf?printf\("),
        ("(", "print(", r"\bprint\("),
        ("(", "console.", r"\bconsole\.(?:log|error)\("),
        ("(", "Traceback", r"\bTraceback \("),
        ("", "public ", r"\bpublic (?:static|class|void)\b"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestText:
    """What of a request body the signals need; read it once and hand it to all who measure.

    `everything` is all text that would be sent, `words` are those of the last turn.
    """

    last_turn: str
    words: Sequence[str]
    context: str
    everything: str
    turns: int
    images: int
    tool_tokens: int
    messages: int
    has_tools: bool
    wants_json: bool


def read_request(body: Mapping[str, Any]) -> RequestText:
    """The text of a chat, responses or messages body. Never raises on parsed JSON."""
    messages = _messages(body)
    texts = [(role, _text_of(content)) for role, content in messages]
    users = [text for role, text in texts if role == "user"]
    last_turn, place = "", len(texts)
    for index in range(len(texts) - 1, -1, -1):
        if texts[index][0] == "user":
            last_turn = without_boilerplate(texts[index][1])
            if last_turn:
                place = index
                break
    before = [text for role, text in texts[:place] if role in ("user", "assistant") and text]
    tools = body.get("tools") or body.get("functions")
    last_turn = last_turn[:MAX_CLASSIFIED]
    return RequestText(
        last_turn=last_turn,
        words=words_of(last_turn),
        context="\n".join(text[-_CONTEXT_CHARS:] for text in before[-_CONTEXT_TURNS:]),
        everything="\n".join(text for _, text in texts),
        turns=len(users),
        images=sum(_images(content) for _, content in messages),
        tool_tokens=len(repr(tools)) // 4 if tools else 0,
        messages=len(messages),
        has_tools=bool(tools) and isinstance(tools, list),
        wants_json=_wants_json(body),
    )


def _messages(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key in ("instructions", "system"):
        if body.get(key):
            found.append(("system", body[key]))
    listed = body.get("messages", body.get("input"))
    if isinstance(listed, str):
        found.append(("user", listed))
    elif isinstance(listed, list):
        for message in listed:
            if isinstance(message, str):
                found.append(("user", message))
            elif isinstance(message, Mapping):
                role = message.get("role")
                content = message.get("content", message.get("output"))
                found.append((role if isinstance(role, str) else "tool", content))
    return found


def _parts(content: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, list):
        for part in content:
            if isinstance(part, Mapping):
                yield part


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for part in _parts(content):
        text = part.get("text", part.get("content"))
        if isinstance(text, str):
            texts.append(text)
        elif isinstance(text, list):
            texts.append(_text_of(text))
    return "\n".join(texts)


def _images(content: Any) -> int:
    return sum("image" in str(part.get("type", "")) for part in _parts(content))


def _wants_json(body: Mapping[str, Any]) -> bool:
    wanted = body.get("response_format")
    text = body.get("text")
    if wanted is None and isinstance(text, Mapping):
        wanted = text.get("format")
    return isinstance(wanted, Mapping) and wanted.get("type") in ("json_object", "json_schema")


def without_boilerplate(text: str) -> str:
    """The text without closed harness blocks; an unclosed one stays, lest it hide the rest."""
    if "<" not in text:
        return text.strip()
    for tag in BOILERPLATE:
        opening, closing = f"<{tag}>", f"</{tag}>"
        start = text.find(opening)
        if start < 0:
            continue
        kept, place = [], 0
        while start >= 0:
            end = text.find(closing, start)
            if end < 0:
                break
            kept.append(text[place:start])
            place = end + len(closing)
            start = text.find(opening, place)
        kept.append(text[place:])
        text = "".join(kept)
    return text.strip()


def words_of(text: str) -> list[str]:
    """Lower-case words, with inner apostrophes and hyphens."""
    if text.isascii():
        apart = text.lower().translate(_APART)
        if "'" in apart or "-" in apart:
            apart = _JOINERS.sub(_between_letters, apart)
        return apart.split()
    return _WORD.findall(text.lower().replace("’", "'"))


def _between_letters(joiners: re.Match[str]) -> str:
    """One joiner between two letters stays; any other is no part of a word."""
    text, start, end = joiners.string, joiners.start(), joiners.end()
    is_inside = (
        end - start == 1
        and start > 0
        and end < len(text)
        and text[start - 1] != " "
        and text[end] != " "
    )
    return joiners.group() if is_inside else " "


def token_estimate(request: RequestText) -> int:
    """Tokens of the whole prompt, rather too many than too few: about four characters each.

    Letters beyond ASCII cost more, by their extra bytes; so do images and tools.
    """
    text = request.everything
    extra = 0 if text.isascii() else len(text.encode("utf-8", "replace")) - len(text)
    by_length = (len(text) + 3) // 4 + extra * 9 // 20
    by_words = text.count(" ") + text.count("\n")
    return (
        max(by_length, by_words)
        + request.tool_tokens
        + request.images * _IMAGE_TOKENS
        + request.messages * _MESSAGE_TOKENS
    )


def has_code(text: str) -> bool:
    for character, marker, shape in _CODE:
        if character in text and marker in text and shape.search(text):
            return True
    return False


def measure(
    request: RequestText | Mapping[str, Any],
    *,
    step: str | None = None,
    client: str | None = None,
    hour: int | None = None,
    budget_left_pct: Decimal | None = None,
    backend_health: str | None = None,
    registry: Registry = FIRST_REGISTRY,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, SignalValue]:
    """Every signal that can be measured before the classifier; one that cannot is absent.

    `metadata` gives the `metadata.*` signals that `registry` declares; without it the body's own
    metadata is read. What was due and is missing is named by `unmeasured()`.
    """
    body: Mapping[str, Any] = {}
    if not isinstance(request, RequestText):
        body, request = request, read_request(request)
    words = request.words
    found: dict[str, object] = {
        "prompt_tokens": token_estimate(request),
        "turns": request.turns,
        "has_code": has_code(request.last_turn),
        "has_tools": request.has_tools,
        "has_images": request.images > 0,
        "wants_json": request.wants_json,
        "topic": topic_of(request.last_turn, words),
        "language": language_of(request.last_turn, words),
        "personal_data": personal_tags(request.everything),
        "step": step or None,
        "client": client or None,
        "hour": hour,
        "budget_left_pct": budget_left_pct,
        "backend_health": backend_health,
    }
    given = body.get("metadata") if metadata is None else metadata
    if isinstance(given, Mapping):
        found.update({f"metadata.{key}": value for key, value in given.items()})
    return registry.admit({name: value for name, value in found.items() if value is not None})


def unmeasured(signals: Mapping[str, SignalValue]) -> frozenset[str]:
    """Signals of `measure()` that were due and are missing: the facts' `failed_signals`."""
    return frozenset() if "personal_data" in signals else frozenset({"personal_data"})
