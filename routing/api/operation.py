"""Management API of what runs: backends, kill switches and recorded decisions."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db import IntegrityError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.response import Response

from audit.actors import Actor
from routing.models import Backend, Decision, KillSwitch
from routing.queries import decision as decision_queries
from routing.queries import decisions as list_queries
from routing.services import health, registry
from screens.api import (
    MOST_PER_PAGE,
    ApiView,
    ReasonBody,
    TextField,
    etag_of,
    page,
    require_match,
    valid,
    with_etag,
)
from screens.errors import Conflict, NotFound

_PROBES = ("at", "ok", "status", "latency_ms", "detail")


class BackendOut(serializers.ModelSerializer[Backend]):
    class Meta:
        model = Backend
        fields = ("name", "state", *registry.FIELDS, "price_version", "created_at", "changed_at")


class BackendBody(serializers.ModelSerializer[Backend]):
    data_classes = serializers.ListField(child=TextField(max_length=20), required=False)
    capabilities = serializers.ListField(child=TextField(max_length=20), required=False)

    class Meta:
        model = Backend
        fields = registry.FIELDS


class NewBackendBody(ReasonBody):
    name = serializers.RegexField(r"^[a-z0-9][a-z0-9-]{0,63}\Z")
    facts = BackendBody()


class ChangedFacts(BackendBody):
    """Only what is sent changes. ``partial`` works on the outermost serializer alone."""

    def get_fields(self) -> dict[str, Any]:
        made: dict[str, Any] = super().get_fields()
        for field in made.values():
            field.required, field.default = False, empty
        return made


class ChangeBackendBody(ReasonBody):
    facts = ChangedFacts()


class StateBody(ReasonBody):
    state = serializers.ChoiceField(choices=Backend.State.choices)


class ProbeOut(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    ok = serializers.BooleanField()
    status = serializers.IntegerField(allow_null=True)
    latency_ms = serializers.IntegerField()
    detail = serializers.CharField()


class SwitchOut(serializers.ModelSerializer[KillSwitch]):
    class Meta:
        model = KillSwitch
        fields = ("id", "scope", "target", "reason", "engaged_at", "released_at")


class SwitchBody(ReasonBody):
    scope = serializers.ChoiceField(choices=["public", "backend", "route"])
    target = TextField(max_length=64, default="", allow_blank=True)


class DecisionOut(serializers.ModelSerializer[Decision]):
    class Meta:
        model = Decision
        exclude: ClassVar[tuple[str, ...]] = ()


class DecisionDetailOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    outcome = serializers.CharField()
    made = serializers.JSONField(help_text="The entry decision.made, as it stands in the trail.")
    ended = serializers.JSONField(help_text="The decision's end, or null while it is open.")


def _backend(name: str) -> Backend:
    backend = Backend.objects.filter(name=name).first()
    if backend is None:
        raise NotFound("There is no such backend.", what_next="See GET /api/backends.")
    return backend


def _tag(backend: Backend) -> str:
    return etag_of(backend.name, backend.changed_at.isoformat(), backend.state)


class Backends(ApiView):
    needs: ClassVar = {"GET": "routing.view", "POST": "routing.operate"}

    @extend_schema(responses=BackendOut(many=True), summary="The registry of backends")
    def get(self, request: Request) -> Response:
        return page(list(BackendOut(Backend.objects.all(), many=True).data))

    @extend_schema(
        request=NewBackendBody,
        responses={201: BackendOut},
        summary="Register a backend as a draft; it serves nothing until it is active",
    )
    def post(self, request: Request) -> Response:
        body = valid(NewBackendBody, request)
        by: Any = request.user
        if Backend.objects.filter(name=body["name"]).exists():
            raise Conflict("A backend of this name exists.", what_next="Choose another name.")
        try:
            backend = registry.register_backend(
                by=by, name=body["name"], reason=body["reason"], **body["facts"]
            )
        except IntegrityError:
            raise Conflict("A backend of this name exists.") from None
        return with_etag(BackendOut(backend).data, _tag(backend), status=201)


class OneBackend(ApiView):
    needs: ClassVar = {"GET": "routing.view", "PATCH": "routing.operate"}

    @extend_schema(responses=BackendOut, summary="One backend with its ETag")
    def get(self, request: Request, name: str) -> Response:
        backend = _backend(name)
        return with_etag(BackendOut(backend).data, _tag(backend))

    @extend_schema(
        request=ChangeBackendBody, responses=BackendOut, summary="Change a backend (If-Match)"
    )
    def patch(self, request: Request, name: str) -> Response:
        backend = _backend(name)
        require_match(request, _tag(backend))
        body = valid(ChangeBackendBody, request)
        by: Any = request.user
        changed = registry.change_backend(
            backend=backend, by=by, reason=body["reason"], **body["facts"]
        )
        return with_etag(BackendOut(changed).data, _tag(changed))


class BackendState(ApiView):
    needs: ClassVar = {"POST": "routing.operate"}

    @extend_schema(
        request=StateBody, responses=BackendOut, summary="Activate, drain or disable a backend"
    )
    def post(self, request: Request, name: str) -> Response:
        body = valid(StateBody, request)
        by: Any = request.user
        changed = registry.set_backend_state(
            backend=_backend(name), state=body["state"], by=by, reason=body["reason"]
        )
        changed.refresh_from_db()
        return with_etag(BackendOut(changed).data, _tag(changed))


class BackendProbe(ApiView):
    needs: ClassVar = {"POST": "routing.operate"}

    @extend_schema(request=None, responses=ProbeOut, summary="Test the connection now")
    def post(self, request: Request, name: str) -> Response:
        backend = _backend(name)
        by: Any = request.user
        probe = health.probe_backend(backend_id=backend.pk, by=Actor.of(by))
        return Response({field: getattr(probe, field) for field in _PROBES})


class Switches(ApiView):
    needs: ClassVar = {"GET": "routing.view", "POST": "routing.operate"}

    @extend_schema(responses=SwitchOut(many=True), summary="Kill switches, engaged ones first")
    def get(self, request: Request) -> Response:
        engaged = KillSwitch.objects.order_by("-released_at", "-engaged_at")[:MOST_PER_PAGE]
        return page(list(SwitchOut(engaged, many=True).data))

    @extend_schema(
        request=SwitchBody,
        responses={201: SwitchOut},
        summary="Stop a backend, a route or all public traffic; every replica follows within 5 s",
    )
    def post(self, request: Request) -> Response:
        body = valid(SwitchBody, request)
        by: Any = request.user
        made = registry.engage_switch(by=by, **body)
        return Response(SwitchOut(made).data, status=201)


class ReleaseSwitch(ApiView):
    needs: ClassVar = {"POST": "routing.operate"}

    @extend_schema(request=ReasonBody, responses=SwitchOut, summary="Release a kill switch")
    def post(self, request: Request, pk: int) -> Response:
        body = valid(ReasonBody, request)
        by: Any = request.user
        switch = KillSwitch.objects.filter(pk=pk).first()
        if switch is None:
            raise NotFound("There is no such kill switch.")
        registry.release_switch(switch=switch, by=by, reason=body["reason"])
        switch.refresh_from_db()
        return Response(SwitchOut(switch).data)


class Decisions(ApiView):
    needs: ClassVar = {"GET": "routing.view"}

    @extend_schema(
        parameters=[
            OpenApiParameter("before", OpenApiTypes.UUID, description="The cursor `next`."),
            OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 200, 50 by default."),
            *(OpenApiParameter(name, OpenApiTypes.STR) for name in list_queries.LABELS),
        ],
        responses=DecisionOut(many=True),
        summary="Recorded decisions, newest first, without request text",
    )
    def get(self, request: Request) -> Response:
        filters = list_queries.Filters.of(request.query_params)
        found = list_queries.matching(filters)
        if before := _uuid(request.query_params.get("before", "")):
            found = found.filter(pk__lt=before)
        limit = _limit(request)
        rows = list(found[: limit + 1])
        following = str(rows[limit - 1].pk) if len(rows) > limit else ""
        return page(list(DecisionOut(rows[:limit], many=True).data), following)


class OneDecision(ApiView):
    needs: ClassVar = {"GET": "routing.view"}

    @extend_schema(responses=DecisionDetailOut, summary="One decision with its full trace")
    def get(self, request: Request, decision_id: UUID) -> Response:
        found = decision_queries.decision_page(decision_id)
        return Response(
            {
                "id": found.id,
                "outcome": found.outcome,
                "made": found.made.entry,
                "ended": found.end.entry if found.end else None,
            }
        )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        if text:
            raise serializers.ValidationError({"before": ["This is no cursor."]}) from None
        return None


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "50")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= MOST_PER_PAGE:
        raise serializers.ValidationError({"limit": [f"A number from 1 to {MOST_PER_PAGE}."]})
    return int(text)
