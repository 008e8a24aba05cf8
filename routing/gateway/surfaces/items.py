"""The items, tools and text formats of OpenAI's Responses API, to chat messages and back."""

from __future__ import annotations

from typing import Any

from routing.gateway.errors import ApiError
from routing.gateway.parse import MAX_MESSAGES, invalid

_ROLES = frozenset({"system", "developer", "user", "assistant"})


def unsupported(name: str, why: str = "") -> ApiError:
    message = f"{name!r} is not supported by this router; leave it out."
    return ApiError("unsupported_parameter", f"{message} {why}".rstrip(), param=name)


def messages_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """``instructions`` and ``input`` as chat messages."""
    made: list[dict[str, Any]] = []
    instructions, given = body.get("instructions"), body.get("input")
    if instructions is not None:
        if not isinstance(instructions, str):
            raise invalid("'instructions' must be a text.", "instructions")
        made.append({"role": "system", "content": instructions})
    if isinstance(given, str) and given:
        return [*made, {"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise invalid("'input' must be a text or a list of items.", "input")
    if len(given) > MAX_MESSAGES:
        raise invalid(f"'input' may have at most {MAX_MESSAGES} items.", "input")
    for index, item in enumerate(given):
        _add(made, item, f"input[{index}]")
    return made


def _add(made: list[dict[str, Any]], item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise invalid(f"'{where}' must be an object.", where)
    match item.get("type", "message"):
        case "message":
            made.append(_message(item, where))
        case "function_call":
            call = _call(item, where)
            last = made[-1] if made else {}
            # The text of a turn and its calls are items there, and one message here.
            if last.get("role") == "assistant":
                last.setdefault("tool_calls", []).append(call)
            else:
                made.append({"role": "assistant", "content": None, "tool_calls": [call]})
        case "function_call_output":
            made.append(_output(item, where))
        case "reasoning":
            # Readable only to the model that wrote it.
            return
        case kind:
            raise unsupported(f"{where}.type", f"Its value is {str(kind)[:40]!r}.")


def _message(item: dict[str, Any], where: str) -> dict[str, Any]:
    role, content = item.get("role"), item.get("content")
    if role not in _ROLES:
        raise invalid(
            f"'{where}.role' must be one of {', '.join(sorted(_ROLES))}.", f"{where}.role"
        )
    if isinstance(content, str):
        return {"role": role, "content": content}
    parts = _parts(content, f"{where}.content")
    if role == "assistant":
        return {"role": role, "content": "".join(part.get("text", "") for part in parts)}
    return {"role": role, "content": parts}


def _parts(content: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(content, list):
        raise invalid(f"'{where}' must be a text or a list of parts.", where)
    made: list[dict[str, Any]] = []
    for place, part in enumerate(content):
        match part:
            case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
                made.append({"type": "text", "text": text})
            case {"type": "refusal", "refusal": str(text)}:
                made.append({"type": "text", "text": text})
            case {"type": "input_image", "image_url": str(url)}:
                image: dict[str, Any] = {"url": url}
                if isinstance(part.get("detail"), str):
                    image["detail"] = part["detail"]
                made.append({"type": "image_url", "image_url": image})
            case {"type": str(kind)} if kind not in {"input_text", "output_text", "refusal"}:
                raise unsupported(f"{where}[{place}]", f"It is a part of the type {kind[:40]!r}.")
            case _:
                raise invalid(f"'{where}[{place}]' is not a part with its text.", where)
    return made


def _call(item: dict[str, Any], where: str) -> dict[str, Any]:
    match item:
        case {"call_id": str(call_id), "name": str(name), "arguments": str(arguments)}:
            function = {"name": name, "arguments": arguments}
            return {"id": call_id, "type": "function", "function": function}
    raise invalid(f"'{where}' needs 'call_id', 'name' and 'arguments'.", where)


def _output(item: dict[str, Any], where: str) -> dict[str, Any]:
    call_id, output = item.get("call_id"), item.get("output")
    if not isinstance(call_id, str) or not call_id:
        raise invalid(f"'{where}.call_id' is missing.", f"{where}.call_id")
    if not isinstance(output, str):
        parts = _parts(output, f"{where}.output")
        if any(part["type"] != "text" for part in parts):
            raise unsupported(f"{where}.output", "Only text is.")
        output = "\n".join(part["text"] for part in parts)
    return {"role": "tool", "tool_call_id": call_id, "content": output}


def tools_of(body: dict[str, Any]) -> dict[str, Any]:
    """The chat fields for ``tools`` and ``tool_choice``."""
    fields: dict[str, Any] = {}
    tools, choice = body.get("tools"), body.get("tool_choice")
    if tools:
        if not isinstance(tools, list):
            raise invalid("'tools' must be a list.", "tools")
        fields["tools"] = [_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools)]
    match choice:
        case None:
            pass
        case "auto" | "none" | "required":
            fields["tool_choice"] = choice
        case {"type": "function", "name": str(name)}:
            fields["tool_choice"] = {"type": "function", "function": {"name": name}}
        case _:
            raise unsupported("tool_choice", "It may be auto, none, required or a function.")
    return fields


def _tool(tool: Any, where: str) -> dict[str, Any]:
    match tool:
        case {"type": "function", "name": str(name)} if name:
            kept = ("name", "description", "parameters", "strict")
            function = {key: tool[key] for key in kept if tool.get(key) is not None}
            return {"type": "function", "function": function}
        case {"type": "function"}:
            raise invalid(f"'{where}.name' is missing.", f"{where}.name")
        case {"type": str(kind)}:
            raise unsupported(f"{where}.type", f"Only functions are, not {kind[:40]!r}.")
    raise invalid(f"'{where}' must be an object with a 'type'.", where)


def text_of(body: dict[str, Any]) -> dict[str, Any]:
    """The chat fields for ``text``: the format of the answer and how many words it makes."""
    text = body.get("text")
    if text is None:
        return {}
    if not isinstance(text, dict):
        raise invalid("'text' must be an object.", "text")
    fields: dict[str, Any] = {}
    if text.get("verbosity") is not None:
        fields["verbosity"] = text["verbosity"]
    match text.get("format"):
        case None | {"type": "text"}:
            pass
        case {"type": "json_object"}:
            fields["response_format"] = {"type": "json_object"}
        case {"type": "json_schema", "name": str(), "schema": dict()} as form:
            schema = {key: value for key, value in form.items() if key != "type"}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        case _:
            raise invalid(
                "'text.format' must be text, json_object, or json_schema with name and schema.",
                "text.format",
            )
    return fields


def text_item(item_id: str, text: str, *, status: str, is_refusal: bool = False) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "refusal", "refusal": text} if is_refusal else text_part(text)
    content = [part] if status != "in_progress" else []
    return {
        "id": item_id,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def call_item(item_id: str, call: dict[str, Any], arguments: str, *, status: str) -> dict[str, Any]:
    function = call.get("function") or {}
    return {
        "id": item_id,
        "type": "function_call",
        "status": status,
        "call_id": call.get("id") or item_id,
        "name": function.get("name") or "",
        "arguments": arguments,
    }
