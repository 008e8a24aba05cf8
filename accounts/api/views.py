"""Management API of people and keys: who am I, the people and their roles, the application keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries
from accounts.models import ApiKey, User
from accounts.services import keys as services
from screens.access import permissions_of, roles_of
from screens.api import ApiView, ReasonBody, TextField, page, valid


class PersonOut(serializers.ModelSerializer[User]):
    roles = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ("id", "username", "full_name", "job", "is_active", "roles")

    def get_roles(self, person: User) -> list[str]:
        return list(roles_of(person))


class MeOut(serializers.Serializer[Any]):
    person = PersonOut()
    permissions = serializers.ListField(child=serializers.CharField())


class KeyOut(serializers.ModelSerializer[ApiKey]):
    state = serializers.SerializerMethodField()
    prefix = serializers.CharField()

    class Meta:
        model = ApiKey
        fields = (
            "public_id",
            "prefix",
            "name",
            "owner",
            "state",
            "routes",
            "default_route",
            "may_pin",
            "boundary_ceiling",
            "data_class_ceiling",
            "requests_per_minute",
            "created_at",
            "expires_at",
            "revoked_at",
        )

    def get_state(self, key: ApiKey) -> str:
        return queries.state_of(key, timezone.now())


class Me(ApiView):
    needs: ClassVar = {"GET": ()}

    @extend_schema(responses=MeOut, summary="Who acts here, and what they may do with this token")
    def get(self, request: Request) -> Response:
        me: Any = request.user
        return Response({"person": PersonOut(me).data, "permissions": sorted(permissions_of(me))})


class People(ApiView):
    needs: ClassVar = {"GET": "accounts.view"}

    @extend_schema(responses=PersonOut(many=True), summary="People and their roles")
    def get(self, request: Request) -> Response:
        people = User.objects.prefetch_related("groups").order_by("username")
        return page(list(PersonOut(people, many=True).data))


class Keys(ApiView):
    """Keys are issued and rotated by people: a program never gets a secret from here."""

    needs: ClassVar = {"GET": "accounts.view"}

    @extend_schema(responses=KeyOut(many=True), summary="Application keys, never their secrets")
    def get(self, request: Request) -> Response:
        return page(list(KeyOut(ApiKey.objects.all(), many=True).data))


class Key(ApiView):
    needs: ClassVar = {"GET": "accounts.view"}

    @extend_schema(responses=KeyOut, summary="One application key")
    def get(self, request: Request, public_id: str) -> Response:
        return Response(KeyOut(queries.key_named(public_id)).data)


class RotateBody(ReasonBody):
    overlap_s = serializers.IntegerField(min_value=0, max_value=30 * 86_400, default=86_400)


class RotatedOut(serializers.Serializer[Any]):
    key = KeyOut()
    text = TextField(help_text="The new secret. It is shown in this answer only.")


class RotateKey(ApiView):
    """For people in a session of their own; a token has no right to manage keys."""

    needs: ClassVar = {"POST": "accounts.manage_keys"}

    @extend_schema(
        request=RotateBody, responses={201: RotatedOut}, summary="Rotate a key with an overlap"
    )
    def post(self, request: Request, public_id: str) -> Response:
        body = valid(RotateBody, request)
        by: Any = request.user
        key, text = services.rotate_key(
            key=queries.key_named(public_id),
            by=by,
            reason=body["reason"],
            overlap=timedelta(seconds=body["overlap_s"]),
        )
        return Response({"key": KeyOut(key).data, "text": text}, status=201)


class RevokeKey(ApiView):
    needs: ClassVar = {"POST": "accounts.manage_keys"}

    @extend_schema(request=ReasonBody, responses=KeyOut, summary="Revoke a key now")
    def post(self, request: Request, public_id: str) -> Response:
        body = valid(ReasonBody, request)
        key = queries.key_named(public_id)
        by: Any = request.user
        services.revoke_key(key=key, by=by, reason=body["reason"])
        key.refresh_from_db()
        return Response(KeyOut(key).data)
