"""Management API of the trail: events with their proofs, health, and compliance reports."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from kombu.exceptions import OperationalError
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit import queries
from audit.actors import Actor
from audit.models import Event, Report
from audit.reports import services
from audit.tasks import make_report
from screens.api import ApiView, ReasonBody, page, valid
from screens.errors import NotFound


class EventOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    at = serializers.DateTimeField()
    entry = serializers.JSONField(help_text="The body as it is sealed in the log.")


class EventDetailOut(EventOut):
    seq = serializers.IntegerField(allow_null=True)
    proof = serializers.CharField(
        allow_null=True, help_text="A C2SP tlog-proof; null while the entry waits for its place."
    )


class HealthOut(serializers.Serializer[Any]):
    size = serializers.IntegerField()
    root = serializers.CharField()
    waiting = serializers.IntegerField()
    checkpoint = serializers.CharField()
    last_verification_ok = serializers.BooleanField(allow_null=True)


class ReportBody(ReasonBody):
    period_from = serializers.DateTimeField()
    period_to = serializers.DateTimeField()


class ReportOut(serializers.ModelSerializer[Report]):
    class Meta:
        model = Report
        fields = (
            "id",
            "state",
            "period_from",
            "period_to",
            "done",
            "total",
            "entries",
            "bytes",
            "digest",
            "problem",
            "ended_at",
        )


def _out(event: Event) -> dict[str, Any]:
    return {"id": event.id, "kind": event.kind, "at": event.at, "entry": event.entry}


class Events(ApiView):
    needs: ClassVar = {"GET": "audit.view"}

    @extend_schema(
        parameters=[
            OpenApiParameter("cursor", OpenApiTypes.STR),
            *(
                OpenApiParameter(name, OpenApiTypes.STR)
                for name in queries.Filters.__dataclass_fields__
            ),
        ],
        responses=EventOut(many=True),
        summary="The trail, newest first, filtered as on its screen",
    )
    def get(self, request: Request) -> Response:
        filters = queries.Filters.of(request.query_params)
        found = queries.trail(filters, request.query_params.get("cursor", ""))
        return page([_out(event) for event in found.events], found.older)


class OneEvent(ApiView):
    needs: ClassVar = {"GET": "audit.view"}

    @extend_schema(responses=EventDetailOut, summary="One entry with its inclusion proof")
    def get(self, request: Request, event_id: UUID) -> Response:
        event = queries.event(event_id)
        if event is None:
            raise NotFound("There is no such entry.", what_next="See GET /api/audit/events.")
        proof = queries.inclusion_proof(event_id)
        return Response(
            {
                **_out(event),
                "seq": proof.seq if proof else None,
                "proof": proof.as_text() if proof else None,
            }
        )


class Health(ApiView):
    needs: ClassVar = {"GET": "audit.view"}

    @extend_schema(responses=HealthOut, summary="Size, root and lag of the log")
    def get(self, request: Request) -> Response:
        found = queries.health()
        head = found.checkpoint
        return Response(
            {
                "size": head.size if head else 0,
                "root": bytes(head.root).hex() if head else "",
                "waiting": found.waiting,
                "checkpoint": head.note if head else "",
                "last_verification_ok": found.verification.is_ok if found.verification else None,
            }
        )


class Reports(ApiView):
    needs: ClassVar = {"GET": "audit.view", "POST": "audit.export"}

    @extend_schema(responses=ReportOut(many=True), summary="Compliance reports, newest first")
    def get(self, request: Request) -> Response:
        return page(list(ReportOut(Report.objects.all()[:100], many=True).data))

    @extend_schema(
        request=ReportBody, responses={202: ReportOut}, summary="Ask for a report over a period"
    )
    def post(self, request: Request) -> Response:
        body = valid(ReportBody, request)
        by: Any = request.user
        report = services.request_report(by=Actor.of(by), **body)
        try:
            make_report.delay(str(report.pk))
        except OperationalError:
            services.could_not_start(report=report)
            report.refresh_from_db()
        return Response(ReportOut(report).data, status=202)


def _report(report_id: UUID) -> Report:
    report = Report.objects.filter(pk=report_id).first()
    if report is None:
        raise NotFound("There is no such report.", what_next="See GET /api/audit/reports.")
    return report


class OneReport(ApiView):
    needs: ClassVar = {"GET": "audit.view"}

    @extend_schema(responses=ReportOut, summary="A report and its progress")
    def get(self, request: Request, report_id: UUID) -> Response:
        return Response(ReportOut(_report(report_id)).data)
