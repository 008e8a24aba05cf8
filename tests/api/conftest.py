"""Programs of people: each with an access token, and a registry to act upon."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.services.tokens import create_token, scopes_open_to
from tests.routing.conftest import backends, route  # noqa: F401


class Program:
    """Calls the management API with JSON; returns Django's test answers."""

    def __init__(self, token: str) -> None:
        self.client = Client(headers={"authorization": f"Bearer {token}"})

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/{path}", query)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.generic(
            method,
            f"/api/{path}",
            data=_json(body),
            content_type="application/json",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    def post(self, path: str, body: Any = None) -> Any:
        return self.send("POST", path, body)


def _json(body: Any) -> str:
    import json

    return body if isinstance(body, str) else json.dumps({} if body is None else body)


@pytest.fixture
def token_of(people: dict[str, Any]) -> Callable[..., str]:
    def issue(name: str, *scopes: str) -> str:
        person = people[name]
        return create_token(
            by=person,
            name=f"program of {name}",
            scopes=scopes or scopes_open_to(person),
            expires_at=timezone.now() + timedelta(days=30),
            reason="test",
        )[1]

    return issue


@pytest.fixture
def program(token_of: Callable[..., str]) -> Callable[..., Program]:
    def start(name: str, *scopes: str) -> Program:
        return Program(token_of(name, *scopes))

    return start
