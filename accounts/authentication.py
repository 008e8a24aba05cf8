"""Who calls the management API: a session with its CSRF token, or a person's access token."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.services.tokens import person_of

SESSION = SessionAuthentication


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer sbx_mgmt_...``. A wrong token causes no row in the database."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        found = person_of(text.strip())
        if found is None:
            raise AuthenticationFailed(
                "This access token is unknown, ended or revoked.", code="invalid_token"
            )
        return found

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="signalbox"'


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = TokenAuthentication
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "sbx_mgmt_..."}
