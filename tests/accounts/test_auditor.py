"""The auditor's job, address by address: all of the trail and its reports, and no act beyond."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.services.tokens import create_token, scopes_open_to
from audit import tasks
from routing.models import Backend, PolicyVersion, Route, SignOff
from screens.access import ROLES

AUDITOR = ROLES["auditor"].permissions
# What an auditor may send, and why it is no change of the product.
OWN = {
    "audit-export": "an export of what is found, recorded",
    "audit-verify": "a verification of the trail, recorded",
    "api-reports": "asks for a report, recorded",
    "issue-data-flow": "issues the data-flow document, recorded",
    "reports": "asks for a report, recorded",
    "report-cancel": "stops a report",
    "report-schedule": "whether a report of every month is made, recorded",
    "decision": "reads; a replay sends and records nothing",
    "logout": "their own session",
    "login": "their own session",
    "api-nothing": "an address that is none",
    "end-sessions": "their own sessions",
    "preferences": "their own preferences",
    "own-password": "their own password",
    "tokens": "their own access tokens, which can do no more than they",
    "revoke-token": "their own access tokens",
    "save-filter": "their own saved filters",
    "remove-filter": "their own saved filters",
}  # fmt: skip
# Addresses that look for their object or read their form before the service asks for its own
# permission, which the tests of that service show.
ASKED_LATER = {
    "acknowledge-backtest", "api-simulate", "backtests", "cancel-backtest", "classifier",
    "classifiers", "reviewer", "simulate-version",
}  # fmt: skip
VALUES = {
    "uuid": str(uuid4()), "int": "1", "slug": "nothing-here", "str": "nothing", "path": "nothing",
}  # fmt: skip


def addresses() -> list[tuple[str, str]]:
    """(name, address) of every pattern, its parameters filled with things that are not there."""
    found: list[tuple[str, str]] = []

    def walk(patterns: list[Any], prefix: str) -> None:
        for entry in patterns:
            route = prefix + str(entry.pattern).lstrip("^")
            if isinstance(entry, URLResolver):
                walk(entry.url_patterns, route)
            elif isinstance(entry, URLPattern):
                filled = re.sub(
                    r"<(?:(\w+):)?\w+>", lambda part: VALUES.get(part[1] or "str", "x"), route
                )
                found.append((entry.name or route, "/" + filled))

    walk(get_resolver().url_patterns, "")
    return found


@pytest.fixture
def auditor(client: Client, people: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(tasks.make_report, "delay", lambda _: None)
    monkeypatch.setattr(tasks.verify_trail, "delay", lambda _: None)
    client.force_login(people["ada"])
    client.raise_request_exception = False
    return client


@pytest.fixture
def bearer(people: dict[str, Any]) -> dict[str, str]:
    """The header of an access token with every scope that an auditor may give it."""
    ada = people["ada"]
    token = create_token(
        by=ada,
        name="everything an auditor may",
        scopes=sorted(scopes_open_to(ada)),
        expires_at=timezone.now() + timedelta(days=1),
        reason="test",
    )[1]
    return {"authorization": f"Bearer {token}"}


def test_there_are_addresses_to_walk() -> None:
    assert len(addresses()) > 150


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_no_address_takes_an_act_of_an_auditor_that_is_not_theirs(
    auditor: Client, people: dict[str, Any], bearer: dict[str, str], method: str
) -> None:
    taken = []
    for name, address in addresses():
        auditor.force_login(people["ada"])
        headers = bearer if address.startswith("/api/") else {}
        status = getattr(auditor, method)(address, headers=headers).status_code
        if status in (404, 422) and name in ASKED_LATER:
            continue
        if status not in (403, 405) and name not in OWN:
            taken.append((name, address, status))

    assert not taken, "\n".join(map(str, taken))


def test_every_address_answers_an_auditor_or_denies_in_words(
    auditor: Client, people: dict[str, Any]
) -> None:
    wrong = []
    for name, address in addresses():
        auditor.force_login(people["ada"])
        answer = auditor.get(address)
        if answer.status_code >= 500:
            wrong.append((name, address, answer.status_code))

    assert wrong == []


@pytest.mark.parametrize(
    "address",
    ["/audit/", "/audit/health/", "/reports/", "/decisions/", "/data-flow/"],
)
def test_what_an_auditor_is_for_is_open(auditor: Client, address: str) -> None:
    assert auditor.get(address).status_code == 200


@pytest.mark.parametrize("address", ["events", "health", "reports"])
def test_the_trails_api_is_open_to_an_auditor(
    client: Client, bearer: dict[str, str], address: str
) -> None:
    assert client.get(f"/api/audit/{address}", headers=bearer).status_code == 200


def test_a_walk_of_acts_leaves_everything_as_it_was(
    auditor: Client, people: dict[str, Any]
) -> None:
    def state() -> list[int]:
        return [model.objects.count() for model in (Backend, Route, PolicyVersion, SignOff)]

    before = state()
    for _, address in addresses():
        auditor.force_login(people["ada"])
        auditor.post(address, {"reason": "because", "name": "x", "slug": "x"})

    assert state() == before


def test_the_role_holds_no_permission_to_act() -> None:
    assert {
        "routing.view", "review.view", "audit.view", "audit.export", "accounts.view",
    } == AUDITOR  # fmt: skip
    assert not AnonymousUser().is_authenticated
