"""Management API of routes and their policy versions: read, draft, submit, activate, roll back.

A verdict on somebody else's version is a person's act in the browser; there is none here.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from routing.models import PolicyVersion, Route
from routing.services import policies, simulation
from screens.api import (
    ApiView,
    DocumentField,
    ReasonBody,
    TextField,
    etag_of,
    page,
    require_match,
    valid,
    with_etag,
)
from screens.errors import NotFound


class RouteOut(serializers.ModelSerializer[Route]):
    active_version = serializers.SerializerMethodField()
    baseline = serializers.SlugRelatedField[Any](slug_field="name", read_only=True)

    class Meta:
        model = Route
        fields = (
            "slug",
            "name",
            "description",
            "owner",
            "data_class",
            "capture",
            "enabled",
            "slo_p95_ms",
            "baseline",
            "rollout_pct",
            "created_at",
            "active_version",
        )

    def get_active_version(self, route: Route) -> int | None:
        active = policies.active_version(route)
        return active.number if active else None


class VersionOut(serializers.ModelSerializer[PolicyVersion]):
    route = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    author = serializers.SlugRelatedField[Any](slug_field="username", read_only=True)
    base = serializers.SlugRelatedField[Any](slug_field="number", read_only=True)
    approvals = serializers.SerializerMethodField()

    class Meta:
        model = PolicyVersion
        fields = (
            "route",
            "number",
            "state",
            "digest",
            "revision",
            "summary",
            "author",
            "base",
            "approvals_needed",
            "approval_reasons",
            "approvals",
            "created_at",
            "submitted_at",
            "approved_at",
            "scheduled_for",
            "activated_at",
            "retired_at",
        )

    def get_approvals(self, version: PolicyVersion) -> list[dict[str, str]]:
        return [
            {"by": item.by.get_username(), "verdict": item.verdict, "at": item.at.isoformat()}
            for item in version.approvals.select_related("by")
        ]


class VersionWithDocument(VersionOut):
    document = serializers.JSONField()

    class Meta(VersionOut.Meta):
        fields = (*VersionOut.Meta.fields, "document")  # type: ignore[assignment]


class FindingOut(serializers.Serializer[Any]):
    code = serializers.CharField()
    path = serializers.CharField()
    message = serializers.CharField()
    blocking = serializers.BooleanField()
    witness = serializers.JSONField(required=False)


class DraftBody(serializers.Serializer[Any]):
    document = DocumentField(required=False, help_text="Without it: the active version's.")
    base = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)


class EditBody(serializers.Serializer[Any]):
    document = DocumentField()
    summary = TextField(max_length=300, required=False)


class SubmitBody(serializers.Serializer[Any]):
    summary = TextField(max_length=300, help_text="What this version changes, in one sentence.")


class RollBackBody(ReasonBody):
    to = serializers.IntegerField(min_value=1, max_value=2**31 - 1)


class SimulateBody(serializers.Serializer[Any]):
    prompt = TextField(max_length=200_000, trim_whitespace=False)
    data_class = serializers.ChoiceField(choices=settings.DATA_CLASSES, default="internal")
    client = TextField(max_length=100, default="", allow_blank=True)
    step = TextField(max_length=64, default="", allow_blank=True)
    has_tools = serializers.BooleanField(default=False)
    wants_json = serializers.BooleanField(default=False)


class SimulatedOut(serializers.Serializer[Any]):
    decision = serializers.JSONField()
    contributions = serializers.ListField(child=serializers.ListField())


def _route(slug: str) -> Route:
    route = Route.objects.select_related("baseline").filter(slug=slug).first()
    if route is None:
        raise NotFound("There is no such route.", what_next="See GET /api/routes.")
    return route


def tag_of(version: PolicyVersion) -> str:
    return etag_of(version, version.revision, version.state, version.digest)


def _as_it_is_now(version: PolicyVersion) -> Response:
    version.refresh_from_db()
    return with_etag(VersionOut(version).data, tag_of(version))


class Routes(ApiView):
    needs: ClassVar = {"GET": "routing.view"}

    @extend_schema(responses=RouteOut(many=True), summary="Routes")
    def get(self, request: Request) -> Response:
        return page(list(RouteOut(Route.objects.select_related("baseline"), many=True).data))


class OneRoute(ApiView):
    needs: ClassVar = {"GET": "routing.view"}

    @extend_schema(responses=RouteOut, summary="One route")
    def get(self, request: Request, slug: str) -> Response:
        return Response(RouteOut(_route(slug)).data)


class Versions(ApiView):
    needs: ClassVar = {"GET": "routing.view", "POST": "routing.edit_policy"}

    @extend_schema(responses=VersionOut(many=True), summary="Policy versions, newest first")
    def get(self, request: Request, slug: str) -> Response:
        versions = _route(slug).versions.select_related("route", "author", "base")
        return page(list(VersionOut(versions, many=True).data))

    @extend_schema(
        request=DraftBody,
        responses={201: VersionWithDocument},
        summary="Begin a draft, or get one's own open draft of this route",
    )
    def post(self, request: Request, slug: str) -> Response:
        body = valid(DraftBody, request)
        by: Any = request.user
        version = policies.start_draft(
            slug=slug, by=by, document=body.get("document"), base_number=body.get("base")
        )
        return with_etag(VersionWithDocument(version).data, tag_of(version), status=201)


class Version(ApiView):
    needs: ClassVar = {"GET": "routing.view", "PUT": "routing.edit_policy"}

    @extend_schema(responses=VersionWithDocument, summary="One version with its document and ETag")
    def get(self, request: Request, slug: str, number: int) -> Response:
        version = policies.get_version(slug=slug, number=number)
        return with_etag(VersionWithDocument(version).data, tag_of(version))

    @extend_schema(
        request=EditBody,
        responses=VersionWithDocument,
        summary="Replace the document of one's own draft (If-Match)",
    )
    def put(self, request: Request, slug: str, number: int) -> Response:
        version = policies.get_version(slug=slug, number=number)
        require_match(request, tag_of(version))
        body = valid(EditBody, request)
        by: Any = request.user
        edited = policies.edit_draft(
            version=version,
            document=body["document"],
            revision=version.revision,
            by=by,
            summary=body.get("summary"),
        )
        return with_etag(VersionWithDocument(edited).data, tag_of(edited))


class Findings(ApiView):
    needs: ClassVar = {"GET": "routing.view"}

    @extend_schema(
        responses=FindingOut(many=True),
        summary="What the analysis finds now, blocking findings first, each with a witness request",
    )
    def get(self, request: Request, slug: str, number: int) -> Response:
        version = policies.get_version(slug=slug, number=number)
        return page([finding.as_json() for finding in policies.check(version)])


class Simulate(ApiView):
    needs: ClassVar = {"POST": "routing.view"}

    @extend_schema(
        request=SimulateBody,
        responses=SimulatedOut,
        summary="What this version would decide for one request; nothing is sent or stored",
    )
    def post(self, request: Request, slug: str, number: int) -> Response:
        version = policies.get_version(slug=slug, number=number)
        body = valid(SimulateBody, request)
        made = simulation.simulate(version=version, request=simulation.Request(**body))
        return Response(
            {"decision": made.decision.as_json(), "contributions": list(made.contributions)}
        )


class Submit(ApiView):
    needs: ClassVar = {"POST": "routing.edit_policy"}

    @extend_schema(request=SubmitBody, responses=VersionOut, summary="Submit a draft for approval")
    def post(self, request: Request, slug: str, number: int) -> Response:
        body = valid(SubmitBody, request)
        by: Any = request.user
        version = policies.get_version(slug=slug, number=number)
        policies.submit_version(version=version, by=by, summary=body["summary"])
        return _as_it_is_now(version)


class Withdraw(ApiView):
    needs: ClassVar = {"POST": "routing.edit_policy"}

    @extend_schema(request=ReasonBody, responses=VersionOut, summary="Withdraw one's own version")
    def post(self, request: Request, slug: str, number: int) -> Response:
        body = valid(ReasonBody, request)
        by: Any = request.user
        version = policies.get_version(slug=slug, number=number)
        policies.withdraw_version(version=version, by=by, reason=body["reason"])
        return _as_it_is_now(version)


class Activate(ApiView):
    needs: ClassVar = {"POST": "routing.activate_policy"}

    @extend_schema(request=ReasonBody, responses=VersionOut, summary="Activate an approved version")
    def post(self, request: Request, slug: str, number: int) -> Response:
        body = valid(ReasonBody, request)
        by: Any = request.user
        version = policies.get_version(slug=slug, number=number)
        policies.activate_version(version=version, by=by, reason=body["reason"])
        return _as_it_is_now(version)


class RollBack(ApiView):
    needs: ClassVar = {"POST": "routing.activate_policy"}

    @extend_schema(
        request=RollBackBody, responses=VersionOut, summary="Make an earlier active version active"
    )
    def post(self, request: Request, slug: str) -> Response:
        body = valid(RollBackBody, request)
        by: Any = request.user
        version = policies.roll_back(slug=slug, to_number=body["to"], by=by, reason=body["reason"])
        return _as_it_is_now(version)
