"""Management API of reviewers: what each may take, and changing it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from review.models import Reviewer
from review.queries import reviewers as queries
from review.queries.pace import open_pauses
from review.services import pace, reviewers
from screens.api import ApiView, TextField, page, valid


class ReviewerOut(serializers.Serializer[Any]):
    person = serializers.CharField(source="person.username")
    queues = serializers.ListField(child=serializers.CharField(), help_text="Empty: every queue.")
    clearance = serializers.CharField()
    version = serializers.IntegerField(help_text="0 while the defaults hold.")
    is_paused = serializers.SerializerMethodField(
        help_text="Claims nothing until a lead lifts it: answers were to be released unread."
    )

    def get_is_paused(self, one: Reviewer) -> bool:
        pauses = self.context.get("pauses")
        return one.person.pk in (open_pauses() if pauses is None else pauses)


class ReviewerBody(serializers.Serializer[Any]):
    queues = serializers.ListField(child=TextField(max_length=64), max_length=50)
    clearance = serializers.ChoiceField(choices=settings.DATA_CLASSES)
    version = serializers.IntegerField(min_value=0)
    reason = TextField(max_length=500)


class Reviewers(ApiView):
    needs: ClassVar = {"GET": "review.view"}

    @extend_schema(
        responses=ReviewerOut(many=True), summary="Who reviews, which queues, up to which class"
    )
    def get(self, request: Request) -> Response:
        shown = ReviewerOut(queries.everyone(), many=True, context={"pauses": open_pauses()})
        return page(list(shown.data))


class OneReviewer(ApiView):
    needs: ClassVar = {"GET": "review.view", "PUT": "review.lead"}

    @extend_schema(responses=ReviewerOut, summary="What one reviewer may take")
    def get(self, request: Request, username: str) -> Response:
        return Response(ReviewerOut(queries.one(username)).data)

    @extend_schema(
        request=ReviewerBody, responses=ReviewerOut, summary="Set what somebody else may take"
    )
    def put(self, request: Request, username: str) -> Response:
        by: Any = request.user
        body = valid(ReviewerBody, request)
        person = queries.one(username).person
        return Response(ReviewerOut(reviewers.change_reviewer(person=person, by=by, **body)).data)


class ResumeBody(serializers.Serializer[Any]):
    reason = TextField(max_length=500)


class Resume(ApiView):
    needs: ClassVar = {"POST": "review.lead"}

    @extend_schema(
        request=ResumeBody, responses=ReviewerOut, summary="Let a paused reviewer claim again"
    )
    def post(self, request: Request, username: str) -> Response:
        by: Any = request.user
        found = queries.one(username)
        pace.lift_pause(person=found.person, by=by, **valid(ResumeBody, request))
        return Response(ReviewerOut(found).data)
