"""Access tokens: a program gets some of a person's rights, and never what people alone may do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AccessToken
from accounts.services import tokens
from accounts.services.people import change_roles
from audit.models import Event
from screens.access import NEVER_BY_TOKEN
from screens.errors import Invalid, NotAllowed

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]


def test_stranger_gets_401_in_the_one_shape_and_causes_no_row() -> None:
    for headers in (
        {},
        {"authorization": "Bearer sbx_mgmt_wrong"},
        {"authorization": "Basic eA=="},
    ):
        answer = Client(headers=headers).get("/api/me")

        error = answer.json()["error"]
        assert answer.status_code == 401
        assert set(error) == {"code", "message", "what_next", "fields", "request_id"}
        assert answer["WWW-Authenticate"].startswith("Bearer")
    assert not Event.objects.exists()


def test_token_acts_for_its_person_within_its_scopes(program: Start) -> None:
    me = program("olivia", "routing.view").get("me").json()

    assert me["person"]["username"] == "olivia"
    assert me["permissions"] == ["routing.view"]


def test_scope_that_is_missing_is_refused_although_the_person_may(program: Start) -> None:
    answer = program("olivia", "routing.view").post(
        "kill-switches", {"scope": "public", "reason": "incident"}
    )

    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "permission_missing"


def test_right_that_the_person_loses_the_token_loses_too(
    program: Start, people: dict[str, Any]
) -> None:
    started = program("olivia", "routing.view", "routing.operate")
    change_roles(by=people["sam"], person=people["olivia"], roles=["author"], reason="moved")

    answer = started.post("kill-switches", {"scope": "public", "reason": "incident"})

    assert started.get("routes").status_code == 200
    assert answer.status_code == 403


@pytest.mark.parametrize("scope", sorted(NEVER_BY_TOKEN))
def test_nobody_gets_a_token_for_what_only_people_do(people: dict[str, Any], scope: str) -> None:
    people["sam"].is_superuser = True
    people["sam"].save()

    with pytest.raises(Invalid):
        issue(people["sam"], scope)


def issue(person: Any, *scopes: str) -> tuple[AccessToken, str]:
    return tokens.create_token(
        by=person,
        name="pipeline",
        scopes=scopes,
        expires_at=timezone.now() + timedelta(days=1),
        reason="test",
    )


def test_token_cannot_be_wider_than_its_person(people: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        issue(people["ada"], "routing.operate")


def test_token_cannot_make_another_token(people: dict[str, Any]) -> None:
    _, text = issue(people["olivia"], "routing.view")
    found = tokens.person_of(text)
    assert found is not None

    with pytest.raises(NotAllowed):
        issue(found[0], "routing.view")


def test_revoked_expired_or_orphaned_token_is_nobody(people: dict[str, Any]) -> None:
    revoked, first = issue(people["olivia"], "routing.view")
    expired, second = issue(people["olivia"], "routing.view")
    _, third = issue(people["ada"], "routing.view")
    tokens.revoke_token(token=revoked, by=people["olivia"], reason="leaked")
    AccessToken.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    people["ada"].is_active = False
    people["ada"].save()

    assert [tokens.person_of(text) for text in (first, second, third)] == [None, None, None]


def test_only_its_person_or_an_administrator_ends_a_token(people: dict[str, Any]) -> None:
    token, _ = issue(people["olivia"], "routing.view")

    with pytest.raises(NotAllowed):
        tokens.revoke_token(token=token, by=people["ada"], reason="curious")
    tokens.revoke_token(token=token, by=people["sam"], reason="left the company")
    assert Event.objects.get(kind="access_token.revoked").actor == "sam"


def test_trail_says_that_a_program_acted(program: Start, people: dict[str, Any]) -> None:
    program("olivia").post("kill-switches", {"scope": "public", "reason": "incident"})

    actor = Event.objects.get(kind="kill_switch.engaged").entry["actor"]
    assert actor["name"] == "olivia"
    assert actor["via"] == people["olivia"].access_tokens.get().prefix


def test_session_needs_its_csrf_token(people: dict[str, Any]) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people["olivia"])

    answer = browser.post(
        "/api/kill-switches", {"scope": "public", "reason": "x"}, content_type="application/json"
    )

    assert browser.get("/api/me").status_code == 200
    assert answer.status_code == 403


def test_page_shows_the_text_once_and_keeps_its_hash(people: dict[str, Any]) -> None:
    browser = Client()
    browser.force_login(people["arjun"])
    form = {
        "name": "policy pipeline",
        "scopes": ["routing.view", "routing.edit_policy"],
        "expires_on": (timezone.now() + timedelta(days=30)).date().isoformat(),
        "reason": "policies live in git",
    }

    shown = browser.post("/settings/tokens/", form)
    again = browser.get("/settings/tokens/")

    token = AccessToken.objects.get()
    assert shown.status_code == 201
    assert token.prefix in shown.content.decode()
    assert "policy pipeline" in again.content.decode()
    assert browser.post("/settings/tokens/", {**form, "scopes": ["audit.view"]}).status_code == 422
    assert (
        browser.post(f"/settings/tokens/{token.public_id}/revoke/", {"reason": "done"}).status_code
        == 303
    )
