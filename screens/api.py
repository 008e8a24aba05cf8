"""What every view of the management API shares: permission per method, pages, ETag, one error.

Decides nothing of the domain. Errors always have the fields code, message, what_next, request_id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from screens.access import PERMISSIONS, require
from screens.errors import NotFound

MOST_PER_PAGE = 200


class PreconditionFailed(APIException):
    status_code = 412
    default_detail = "It has changed since you read it. Read it again, then repeat the change."
    default_code = "precondition_failed"


class PreconditionRequired(APIException):
    status_code = 428
    default_detail = "Send If-Match with the ETag that you read, so that no change gets lost."
    default_code = "precondition_required"


class StatedPermission(BasePermission):
    """Checks the permission that the view states for the method; one that states none is closed."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else str(request.method)
        stated = getattr(view, "needs", {}).get(method, ())
        for permission in (stated,) if isinstance(stated, str) else stated or ():
            require(request.user, permission)
        return method in getattr(view, "needs", {})


class ApiView(APIView):
    """A view that states per method what it needs: ``needs = {"GET": "routing.view"}``.

    An empty tuple means: any signed-in person, for what is their own.
    """

    needs: ClassVar[Mapping[str, str | tuple[str, ...]]] = {}
    permission_classes: Sequence[Any] = (StatedPermission,)

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., Any]:
        view = super().as_view(**initkwargs)
        stated: set[str] = set()
        for value in cls.needs.values():
            stated |= {value} if isinstance(value, str) else set(value)
        if unknown := stated - PERMISSIONS.keys():
            raise LookupError(f"{cls.__name__} states unknown permissions: {sorted(unknown)}")
        return view


def etag_of(*parts: object) -> str:
    """A strong ETag of what identifies a state: an id and a revision, or a digest."""
    text = "\x1f".join(str(part) for part in parts)
    return '"' + hashlib.sha256(text.encode()).hexdigest()[:32] + '"'


def with_etag(content: Any, tag: str, status: int = 200) -> Response:
    return Response(content, status=status, headers={"ETag": tag})


def require_match(request: Request, tag: str) -> None:
    """Raise 428 without If-Match, 412 where it names another state."""
    given = request.headers.get("If-Match", "")
    if not given.strip():
        raise PreconditionRequired
    if given.strip() != "*" and tag not in [item.strip() for item in given.split(",")]:
        raise PreconditionFailed


def page(items: list[Any], following: str = "") -> Response:
    """A page of a list; ``next`` is the cursor of the following one, or null."""
    return Response({"items": items, "next": following or None})


def valid(kind: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The checked body. Raises 400 with one message per field."""
    form = kind(data=request.data)
    form.is_valid(raise_exception=True)
    checked: dict[str, Any] = form.validated_data
    return checked


def _has_bad_text(value: Any) -> bool:
    """Whether a JSON value holds NUL or half a surrogate, which no database text can."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            if "\x00" in item or any("\ud800" <= sign <= "\udfff" for sign in item):
                return True
        elif isinstance(item, dict):
            todo += [*item, *item.values()]
        elif isinstance(item, list):
            todo += item
    return False


class TextField(serializers.CharField):
    """Text that the database can hold: no NUL (the base refuses it), no half of a surrogate."""

    def to_internal_value(self, value: Any) -> str:
        text: str = super().to_internal_value(value)
        if _has_bad_text(text):
            raise serializers.ValidationError("This text contains half of a surrogate pair.")
        return text


class DocumentField(serializers.JSONField):
    """A JSON object, kept as it is."""

    def to_internal_value(self, value: Any) -> Any:
        document = super().to_internal_value(value)
        if not isinstance(document, dict):
            raise serializers.ValidationError("This must be a JSON object.")
        if _has_bad_text(document):
            raise serializers.ValidationError("A text contains NUL or half of a surrogate pair.")
        return document


class ReasonBody(serializers.Serializer[Any]):
    reason = TextField(max_length=500, help_text="Kept in the audit trail.")


class Schema(SpectacularJSONAPIView, ApiView):
    """The OpenAPI document of this API."""

    needs: ClassVar = {"GET": ()}
    permission_classes = (StatedPermission,)


@extend_schema(exclude=True)
class Nothing(ApiView):
    """Every other address under /api/: a JSON 404 instead of a page."""

    needs: ClassVar = dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), ())

    def get(self, request: Request, rest: str) -> Response:
        raise NotFound("There is nothing at this address.", what_next="See GET /api/schema.")

    post = put = patch = delete = get
