"""Completes the OpenAPI document: every refusal in one shape, every list as a page."""

from __future__ import annotations

from typing import Any

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "what_next", "fields", "request_id"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "what_next": {"type": "string"},
                "fields": {
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": {"type": "string"}},
                },
                "request_id": {"type": "string"},
            },
        }
    },
}
_REFUSALS = {
    "400": "The request does not fit the schema.",
    "401": "No usable access token or session.",
    "403": "The roles or the token's scopes do not include this permission.",
    "404": "There is no such thing.",
    "405": "This address does not answer to the method.",
    "406": "This API answers with application/json.",
    "409": "Somebody or something was first.",
    "415": "The body is not application/json.",
    "422": "It makes no sense as it stands.",
}
_CONDITIONAL = {
    "412": "It has changed since it was read.",
    "428": "If-Match is missing.",
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "schema": {"type": "string"},
    "description": "The ETag that was read.",
}


def describe_errors_and_pages(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A post-processing hook of drf-spectacular."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = _ERROR
    for operations in result["paths"].values():
        for method, operation in operations.items():
            if isinstance(operation, dict) and "responses" in operation:
                _complete(method, operation)
    return result


def _complete(method: str, operation: dict[str, Any]) -> None:
    refusals = dict(_REFUSALS)
    if method in {"put", "patch"}:
        refusals |= _CONDITIONAL
        operation.setdefault("parameters", []).append(_IF_MATCH)
    for response in operation["responses"].values():
        for content in response.get("content", {}).values():
            if content.get("schema", {}).get("type") == "array":
                content["schema"] = _page_of(content["schema"])
    for status, words in refusals.items():
        operation["responses"].setdefault(
            status,
            {
                "description": words,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        )


def _page_of(array: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {"items": array, "next": {"type": "string", "nullable": True}},
    }
