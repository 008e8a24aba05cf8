"""Django REST framework's exception hook: domain errors in the same shape everywhere."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_exception_response

from screens.answers import as_json, status_of
from screens.errors import DomainError


def api_exception_response(exc: Exception, context: dict[str, Any]) -> Response | None:
    """For settings: REST_FRAMEWORK["EXCEPTION_HANDLER"]."""
    if isinstance(exc, DomainError):
        return Response(as_json(exc), status=status_of(exc))
    return rest_exception_response(exc, context)
