"""Anthropic's content blocks and tools, to chat messages and back."""

from __future__ import annotations

from typing import Any

import orjson

from routing.gateway.errors import ApiError
from routing.gateway.parse import MAX_MESSAGES, invalid

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def system_of(system: Any) -> list[dict[str, Any]]:
    if system is None or system == "":
        return []
    if isinstance(system, str):
        return [{"role": "system", "content": system}]
    texts = [_text(block, f"system[{i}]") for i, block in enumerate(_listed(system, "system"))]
    return [{"role": "system", "content": "\n".join(texts)}]


def _listed(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(
        isinstance(block, dict) and isinstance(block.get("type"), str) for block in value
    ):
        raise invalid(f"'{where}' must be a text or a list of blocks with a 'type'.", where)
    return value


def _text(block: dict[str, Any], where: str) -> str:
    if block["type"] != "text":
        raise _unsupported(block, where)
    text = block.get("text")
    if not isinstance(text, str):
        raise invalid(f"'{where}' has no 'text'.", where)
    return text


def _unsupported(block: dict[str, Any], where: str) -> ApiError:
    return ApiError(
        "unsupported_parameter",
        f"'{where}' is a block of the type {block['type'][:40]!r}, which is not supported here.",
        param=where,
    )


def messages_of(messages: Any) -> list[dict[str, Any]]:
    """Chat messages; one turn with tool results becomes several."""
    if not isinstance(messages, list) or not messages:
        raise invalid("'messages' must be a list with at least one message.", "messages")
    if len(messages) > MAX_MESSAGES:
        raise invalid(f"'messages' may have at most {MAX_MESSAGES} messages.", "messages")
    made: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise invalid(f"'{where}' must be an object.", where)
        role, content = message.get("role"), message.get("content")
        if role not in ("user", "assistant"):
            raise invalid(f"'{where}.role' must be user or assistant.", f"{where}.role")
        if isinstance(content, str):
            made.append({"role": role, "content": content})
            continue
        listed = _listed(content, f"{where}.content")
        made += _user(listed, where) if role == "user" else [_assistant(listed, where)]
    return made


def _user(listed: list[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    """Results of tools are messages of their own, and come first as chat demands it."""
    results: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for place, block in enumerate(listed):
        at = f"{where}.content[{place}]"
        match block["type"]:
            case "text":
                parts.append({"type": "text", "text": _text(block, at)})
            case "image":
                parts.append({"type": "image_url", "image_url": {"url": _image(block, at)}})
            case "tool_result":
                results.append(_result(block, at, parts))
            case _:
                raise _unsupported(block, at)
    return results + ([{"role": "user", "content": parts}] if parts else [])


def _image(block: dict[str, Any], where: str) -> str:
    source = block.get("source")
    match source:
        case {"type": "base64", "media_type": str(kind), "data": str(data)}:
            return f"data:{kind};base64,{data}"
        case {"type": "url", "url": str(url)}:
            return url
    raise invalid(f"'{where}.source' must be base64 or a url.", f"{where}.source")


def _result(block: dict[str, Any], where: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """A tool's result; pictures in it follow in the user's turn, for chat knows none there."""
    call_id = block.get("tool_use_id")
    if not isinstance(call_id, str) or not call_id:
        raise invalid(f"'{where}.tool_use_id' is missing.", f"{where}.tool_use_id")
    content = block.get("content")
    texts = [content] if isinstance(content, str) else []
    if content is not None and not isinstance(content, str):
        for place, inner in enumerate(_listed(content, f"{where}.content")):
            at = f"{where}.content[{place}]"
            if inner["type"] == "image":
                parts.append({"type": "image_url", "image_url": {"url": _image(inner, at)}})
            else:
                texts.append(_text(inner, at))
    text = "\n".join(texts)
    if block.get("is_error") is True:
        text = f"Error: {text}"
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def _assistant(listed: list[dict[str, Any]], where: str) -> dict[str, Any]:
    texts, calls = [], []
    for place, block in enumerate(listed):
        at = f"{where}.content[{place}]"
        match block["type"]:
            case "text":
                texts.append(_text(block, at))
            case "tool_use":
                calls.append(_call(block, at))
            case "thinking" | "redacted_thinking":
                # Readable only to the model that wrote it.
                continue
            case _:
                raise _unsupported(block, at)
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) or None}
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None:
        message["content"] = ""
    return message


def _call(block: dict[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(block.get("id"), str) or not isinstance(block.get("name"), str):
        raise invalid(f"'{where}' needs 'id' and 'name'.", where)
    arguments = orjson.dumps(block.get("input") or {}).decode()
    return {
        "id": block["id"],
        "type": "function",
        "function": {"name": block["name"], "arguments": arguments},
    }


def tools_of(body: dict[str, Any]) -> dict[str, Any]:
    """The chat fields for ``tools`` and ``tool_choice``."""
    fields: dict[str, Any] = {}
    tools = body.get("tools")
    if tools:
        if not isinstance(tools, list):
            raise invalid("'tools' must be a list.", "tools")
        fields["tools"] = [_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools)]
    choice = body.get("tool_choice")
    if choice is None:
        return fields
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "tool" and isinstance(choice.get("name"), str):
        fields["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif kind in _CHOICES:
        fields["tool_choice"] = _CHOICES[kind]
    else:
        raise invalid("'tool_choice.type' must be auto, any, tool or none.", "tool_choice")
    if choice.get("disable_parallel_tool_use") is True:
        fields["parallel_tool_calls"] = False
    return fields


def _tool(tool: Any, where: str) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise invalid(f"'{where}' must be an object.", where)
    if tool.get("type") not in (None, "custom"):
        raise ApiError(
            "unsupported_parameter",
            f"'{where}' runs on Anthropic's own servers; only tools of your own are supported.",
            param=where,
        )
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        raise invalid(f"'{where}.name' is missing.", f"{where}.name")
    function: dict[str, Any] = {"name": tool["name"], "parameters": tool.get("input_schema") or {}}
    for name in ("description", "strict"):
        if tool.get(name) is not None:
            function[name] = tool[name]
    return {"type": "function", "function": function}


def content_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The blocks of a chat completion's message."""
    made: list[dict[str, Any]] = []
    text = message.get("content") or message.get("refusal")
    if isinstance(text, str) and text:
        made.append({"type": "text", "text": text})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        made.append(
            {
                "type": "tool_use",
                "id": call.get("id") or "",
                "name": function.get("name") or "",
                "input": arguments_of(function.get("arguments")),
            }
        )
    return made


def arguments_of(text: Any) -> Any:
    """A model may write arguments that are not JSON; they are shown, not swallowed."""
    try:
        return orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {"_unparsed": text}
