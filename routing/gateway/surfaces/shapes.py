"""The response object of the Responses API, at its begin and at its end."""

from __future__ import annotations

import uuid
from time import time
from typing import Any

from routing.gateway.planning import Plan
from routing.gateway.surfaces import items

_UNFINISHED = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response_id(decision_id: uuid.UUID) -> str:
    return f"resp_{decision_id.hex}"


def decision_of(response: str) -> uuid.UUID | None:
    """The decision that a response id names, or None for what is no id of ours."""
    kind, _, rest = response.partition("_")
    try:
        return uuid.UUID(hex=rest) if kind == "resp" and len(rest) == 32 else None
    except ValueError:
        return None


def response_object(plan: Plan, *, status: str = "in_progress") -> dict[str, Any]:
    """The response of a request as it begins."""
    made = blank(plan.decision_id, model=plan.request.model, created_s=int(time()))
    made |= {"status": status, "store": plan.request.is_background}
    return made | dict(plan.request.repeated)


def blank(decision_id: uuid.UUID, *, model: str, created_s: int) -> dict[str, Any]:
    """A response that has not ended, with every field that SDKs look for."""
    return {
        "id": response_id(decision_id),
        "object": "response",
        "created_at": created_s,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": True,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }


def failed(response: dict[str, Any], code: str, message: str) -> dict[str, Any]:
    return response | {"status": "failed", "error": {"code": code, "message": message}}


def text_answer(response: dict[str, Any], decision_id: uuid.UUID, text: str) -> dict[str, Any]:
    """The response answered with one text that no model wrote, or a person released."""
    item = items.text_item(f"msg_{decision_id.hex}00", text, status="completed")
    used = {"prompt_tokens": 0, "completion_tokens": 0}
    return finished(response, output=[item], finish_reason="stop", usage=used)


def finished(
    response: dict[str, Any],
    *,
    output: list[dict[str, Any]],
    finish_reason: str,
    usage: Any,
) -> dict[str, Any]:
    """The same response at its end. ``usage`` is that of a chat completion, or None."""
    why = _UNFINISHED.get(finish_reason)
    response["status"] = "incomplete" if why else "completed"
    response["incomplete_details"] = {"reason": why} if why else None
    response["output"] = output
    response["usage"] = usage_of(usage)
    return response


def usage_of(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return {
        "input_tokens": tokens_in,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": tokens_out,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": tokens_in + tokens_out,
    }


def item_id(plan: Plan, kind: str, place: int) -> str:
    return f"{kind}_{plan.decision_id.hex}{place:02x}"


def output_of(plan: Plan, choice: dict[str, Any]) -> list[dict[str, Any]]:
    """The output items of a chat completion's choice."""
    message = choice.get("message") or {}
    made: list[dict[str, Any]] = []
    status = "incomplete" if choice.get("finish_reason") in _UNFINISHED else "completed"
    text, refusal = message.get("content"), message.get("refusal")
    calls = message.get("tool_calls") or []
    if refusal:
        made.append(
            items.text_item(item_id(plan, "msg", 0), refusal, status=status, is_refusal=True)
        )
    elif text or not calls:
        made.append(items.text_item(item_id(plan, "msg", 0), text or "", status=status))
    for call in calls:
        arguments = (call.get("function") or {}).get("arguments") or ""
        made.append(items.call_item(item_id(plan, "fc", len(made)), call, arguments, status=status))
    return made
