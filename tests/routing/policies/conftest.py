"""A draft of the active version, and people signed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from routing.models import PolicyVersion
from routing.services import policies

People = dict[str, Any]


@pytest.fixture
def draft(active_version: PolicyVersion, people: People) -> PolicyVersion:
    return policies.start_draft(slug="support", by=people["arjun"])


@pytest.fixture
def author(client: Client, people: People) -> Client:
    client.force_login(people["arjun"])
    return client


@pytest.fixture
def signed_in(people: People) -> Callable[[str], Client]:
    def sign_in(who: str) -> Client:
        client = Client()
        client.force_login(people[who])
        return client

    return sign_in
