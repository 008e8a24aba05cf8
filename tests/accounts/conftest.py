"""Signed-in browsers, and one person with a password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

PASSWORD = "a-long-enough-pass-9"


@pytest.fixture
def as_person(people: dict[str, Any]) -> Callable[[str], Client]:
    def sign_in(name: str) -> Client:
        browser = Client()
        browser.force_login(people[name])
        return browser

    return sign_in


@pytest.fixture
def rui(people: dict[str, Any]) -> Any:
    person = people["rui"]
    person.set_password(PASSWORD)
    person.save()
    return person
