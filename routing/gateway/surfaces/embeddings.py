"""Embeddings: routed like everything else, answered whole, and never by a person."""

from __future__ import annotations

from typing import Any

import orjson

from routing.adapters.problems import BadAnswer
from routing.gateway.errors import ApiError
from routing.gateway.parse import ChatRequest, invalid, model_of, parse_json
from routing.gateway.planning import Plan
from routing.gateway.surfaces.surface import Surface

PATH = "/embeddings"
MAX_INPUTS = 2048


def _is_tokens(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(token, int) and not isinstance(token, bool) for token in value)
    )


def _tokens_in(given: Any) -> int:
    """How many tokens are given as numbers; texts count nothing here."""
    if isinstance(given, str):
        return 0
    if _is_tokens(given):
        return len(given)
    if not isinstance(given, list) or not given:
        raise invalid("'input' must be a text, a list of texts, or tokens.", "input")
    if len(given) > MAX_INPUTS:
        raise invalid(f"'input' may have at most {MAX_INPUTS} entries.", "input")
    if all(isinstance(entry, str) for entry in given):
        return 0
    if all(_is_tokens(entry) for entry in given):
        return sum(len(entry) for entry in given)
    raise invalid("'input' must be texts only, or lists of tokens only.", "input")


class Embeddings(Surface):
    speaks = False

    def read(self, body: bytes) -> ChatRequest:
        fields = parse_json(body)
        model = model_of(fields)
        if fields.get("stream"):
            raise ApiError("unsupported_parameter", "Embeddings are not streamed.", param="stream")
        given = fields.get("input")
        if given == "":
            raise invalid("'input' is empty.", "input")
        return ChatRequest(
            fields=fields,
            model=model,
            messages=[],
            is_stream=False,
            wants_usage=False,
            output_tokens=0,
            size=len(body),
            path=PATH,
            needs=frozenset({"embeddings"}),
            unread_tokens=_tokens_in(given),
        )

    def check(self, body: bytes) -> dict[str, Any]:
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise BadAnswer("The backend's answer is not JSON.") from None
        if not isinstance(answer, dict) or answer.get("error"):
            raise BadAnswer("The backend's answer is an error.")
        listed = answer.get("data")
        if not isinstance(listed, list) or not all(
            isinstance(entry, dict) and entry.get("embedding") for entry in listed
        ):
            raise BadAnswer("The backend's answer holds no embeddings.")
        return answer

    def usage(self, answer: dict[str, Any]) -> Any:
        reported = answer.get("usage")
        return {**reported, "completion_tokens": 0} if isinstance(reported, dict) else None

    def whole(self, plan: Plan, answer: dict[str, Any]) -> bytes:
        return orjson.dumps(answer)


EMBEDDINGS = Embeddings()
