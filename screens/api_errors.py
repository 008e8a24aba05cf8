"""Django REST framework's exception hook: every refusal of the management API in one shape."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_exception_response
from rest_framework.views import set_rollback

from screens import request_id
from screens.answers import as_json, status_of, tell_denied
from screens.errors import DomainError, NotAllowed

_WHAT_NEXT = {
    400: "Correct what is named and send it again.",
    401: "Send an access token: Authorization: Bearer sbx_mgmt_...",
    403: "Ask an administrator which role allows it.",
    404: "Check the address, or start from a list.",
    405: "See the API's schema for what this address answers to.",
    406: "This API answers with application/json.",
    412: "Read it again, then repeat the change.",
    415: "Send application/json.",
    428: "Read it first and send its ETag as If-Match.",
    429: "Wait as long as Retry-After says.",
}


def api_exception_response(exc: Exception, context: dict[str, Any]) -> Response | None:
    """For settings: REST_FRAMEWORK["EXCEPTION_HANDLER"]."""
    if isinstance(exc, DomainError):
        set_rollback()
        if isinstance(exc, NotAllowed):
            tell_denied(context["request"]._request, exc)
        return Response(as_json(exc), status=status_of(exc))
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    answer = rest_exception_response(exc, context)
    if answer is not None and isinstance(exc, exceptions.APIException):
        answer.data = _body(exc, answer.status_code)
    return answer


def _body(exc: exceptions.APIException, status: int) -> dict[str, Any]:
    if isinstance(exc, exceptions.ValidationError):
        code, fields = "invalid", _fields(exc.detail)
        message = "; ".join(
            f"{name}: {' '.join(said)}" if name else " ".join(said) for name, said in fields.items()
        )
    else:
        code, fields = str(exc.get_codes()), {}
        message = str(exc.detail)
    return {
        "error": {
            "code": code,
            "message": message,
            "what_next": _WHAT_NEXT.get(status, "Try again."),
            "fields": fields,
            "request_id": request_id.current(),
        }
    }


def _fields(detail: Any, name: str = "") -> dict[str, list[str]]:
    """Field name (dotted) to what is wrong with it."""
    found: dict[str, list[str]] = {}
    if isinstance(detail, dict):
        for key, inner in detail.items():
            key = "" if key == "non_field_errors" else str(key)
            found |= _fields(inner, f"{name}.{key}".strip("."))
    elif isinstance(detail, list):
        said = [str(item) for item in detail if not isinstance(item, dict | list)]
        if said:
            found[name] = said
        for place, item in enumerate(detail):
            if isinstance(item, dict | list):
                found |= _fields(item, f"{name}.{place}".strip("."))
    else:
        found[name] = [str(detail)]
    return found
