"""Management API of the review queue: list, claim, read, extend, release, decide.

The same services as the screens, so that a reviewer's program and a browser race fairly.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from review import tasks
from review.models import Case, CaseVerdict
from review.queries import cases as queries
from review.services import cases, claims, replays, verdicts
from routing.services import asking_again
from screens.api import MOST_PER_PAGE, ApiView, TextField, etag_of, page, valid, with_etag
from screens.errors import NotFound

TABS = ("mine", "unclaimed", "all", "done")


class CaseOut(serializers.ModelSerializer[Case]):
    claimed_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True)

    class Meta:
        model = Case
        fields = (
            "id",
            "decision_id",
            "route",
            "policy",
            "rule",
            "queue",
            "data_class",
            "client",
            "why",
            "priority",
            "level",
            "stage",
            "is_high_risk",
            "replays",
            "state",
            "version",
            "opened_at",
            "due_at",
            "claimed_by",
            "claimed_at",
            "lease_expires_at",
            "heartbeat_at",
            "ended_at",
        )


class OtherOut(serializers.Serializer[Any]):
    candidate_id = serializers.UUIDField()
    backend = serializers.CharField(allow_blank=True)
    text = serializers.CharField()


class TextsOut(serializers.Serializer[Any]):
    request = serializers.CharField()
    candidate = serializers.CharField(required=False)
    candidate_id = serializers.UUIDField(required=False)
    candidate_backend = serializers.CharField(required=False)
    others = OtherOut(many=True)


class CaseReasonBody(serializers.Serializer[Any]):
    reason_code = serializers.ChoiceField(choices=CaseVerdict.Reason.choices)
    reason = TextField(max_length=2000)


class ReplayBody(CaseReasonBody):
    backend = TextField(max_length=64)


class OfferOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    tier = serializers.CharField()
    boundary = serializers.CharField()
    reason = serializers.CharField(help_text="Why it may not be asked; empty when it may.")


class ReleaseBody(serializers.Serializer[Any]):
    reason = TextField(max_length=500, default="", allow_blank=True)


class DecideBody(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=CaseVerdict.Kind.choices)
    reason_code = serializers.ChoiceField(
        choices=CaseVerdict.Reason.choices, default="", allow_blank=True
    )
    reason = TextField(max_length=2000, default="", allow_blank=True)
    answer = TextField(max_length=200_000, default="", allow_blank=True, trim_whitespace=False)
    candidate_id = serializers.UUIDField(required=False, allow_null=True)
    flags = serializers.ListField(
        child=serializers.ChoiceField(choices=CaseVerdict.Flag.choices), default=list
    )


def _case(case_id: UUID) -> Case:
    case = Case.objects.select_related("claimed_by", "hold").filter(pk=case_id).first()
    if case is None:
        raise NotFound("There is no such case.", what_next="See GET /api/review/cases.")
    return case


def _answer(case: Case, status: int = 200) -> Response:
    case = _case(case.pk)
    return with_etag(CaseOut(case).data, etag_of(case.pk, case.version), status=status)


class Cases(ApiView):
    needs: ClassVar = {"GET": "review.view"}

    @extend_schema(
        parameters=[OpenApiParameter("tab", OpenApiTypes.STR, enum=TABS)],
        responses=CaseOut(many=True),
        summary="The queue, most urgent first; at most 200 cases",
    )
    def get(self, request: Request) -> Response:
        tab = request.query_params.get("tab", "all")
        if tab not in TABS:
            raise serializers.ValidationError({"tab": [f"One of {', '.join(TABS)}."]})
        found = queries.listed(person=request.user, tab=tab, filters={}, now=timezone.now())
        return page(
            list(CaseOut(found.select_related("claimed_by")[:MOST_PER_PAGE], many=True).data)
        )


class ClaimNext(ApiView):
    needs: ClassVar = {"POST": "review.decide"}

    @extend_schema(
        request=None,
        responses={200: CaseOut, 204: None},
        summary="Claim the most urgent case that waits; 204 when none does",
    )
    def post(self, request: Request) -> Response:
        by: Any = request.user
        case = claims.claim_next(by=by)
        return Response(status=204) if case is None else _answer(case)


class OneCase(ApiView):
    needs: ClassVar = {"GET": "review.view"}

    @extend_schema(responses=CaseOut, summary="One case, without its texts")
    def get(self, request: Request, case_id: UUID) -> Response:
        return _answer(_case(case_id))


class Claim(ApiView):
    needs: ClassVar = {"POST": "review.decide"}

    @extend_schema(request=None, responses=CaseOut, summary="Claim this case")
    def post(self, request: Request, case_id: UUID) -> Response:
        by: Any = request.user
        return _answer(claims.claim_case(case=_case(case_id), by=by))


class Extend(ApiView):
    needs: ClassVar = {"POST": "review.decide"}

    @extend_schema(request=None, responses=CaseOut, summary="Extend one's own lease")
    def post(self, request: Request, case_id: UUID) -> Response:
        by: Any = request.user
        return _answer(claims.extend_lease(case=_case(case_id), by=by))


class Heartbeat(ApiView):
    needs: ClassVar = {"POST": "review.decide"}

    @extend_schema(
        request=None,
        responses=CaseOut,
        summary="Say every minute that one still works on the case; the lease stays as it is",
    )
    def post(self, request: Request, case_id: UUID) -> Response:
        by: Any = request.user
        return _answer(claims.beat(case=_case(case_id), by=by))


class Escalate(ApiView):
    needs: ClassVar = {"POST": "review.decide"}

    @extend_schema(
        request=CaseReasonBody,
        responses=CaseOut,
        summary="Raise one's own case to the lead reviewers",
    )
    def post(self, request: Request, case_id: UUID) -> Response:
        by: Any = request.user
        body = valid(CaseReasonBody, request)
        return _answer(claims.escalate_case(case=_case(case_id), by=by, **body))


class Supersede(ApiView):
    needs: ClassVar = {"POST": "review.lead"}

    @extend_schema(
        request=ReleaseBody,
        responses=CaseOut,
        summary="End a case whose policy or target is gone; its client gets what time would give",
    )
    def post(self, request: Request, case_id: UUID) -> Response:
        by: Any = request.user
        reason = valid(ReleaseBody, request)["reason"]
        return _answer(claims.supersede_case(case=_case(case_id), by=by, reason=reason))


class Replay(ApiView):
    needs: ClassVar = {"GET": "review.decide", "POST": "review.decide"}

    @extend_schema(
        responses=OfferOut(many=True),
        summary="Which backends may answer the request of this case again, and why others may not",
    )
    def get(self, request: Request, case_id: UUID) -> Response:
        case = _case(case_id)
        found = asking_again.offers(decision_id=case.decision_id, data_class=case.data_class)
        return page(list(OfferOut(found, many=True).data))

    @extend_schema(
        request=ReplayBody,
        responses={202: CaseOut},
        summary="Have another backend answer; the case comes back to the queue with its answer",
    )
    def post(self, request: Request, case_id: UUID) -> Response:
        by: Any = request.user
        case = _case(case_id)
        candidate = replays.request_replay(case=case, by=by, **valid(ReplayBody, request))
        tasks.replay.delay(candidate.pk)
        return _answer(case, status=202)


class Release(ApiView):
    needs: ClassVar = {"POST": "review.decide"}

    @extend_schema(request=ReleaseBody, responses=CaseOut, summary="Give a case back")
    def post(self, request: Request, case_id: UUID) -> Response:
        body = valid(ReleaseBody, request)
        by: Any = request.user
        return _answer(claims.release_case(case=_case(case_id), by=by, reason=body["reason"]))


class Reveal(ApiView):
    needs: ClassVar = {"POST": "review.decide"}

    @extend_schema(
        request=None,
        responses=TextsOut,
        summary="Read the texts of one's own claimed case; the reading is recorded",
    )
    def post(self, request: Request, case_id: UUID) -> Response:
        by: Any = request.user
        return Response(cases.reveal_payloads(case=_case(case_id), by=by))


class Decide(ApiView):
    needs: ClassVar = {"POST": "review.decide"}

    @extend_schema(request=DecideBody, responses=CaseOut, summary="Decide one's own claimed case")
    def post(self, request: Request, case_id: UUID) -> Response:
        body = valid(DecideBody, request)
        by: Any = request.user
        return _answer(verdicts.decide_case(case=_case(case_id), by=by, **body))
