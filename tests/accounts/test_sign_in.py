"""In and out: who is let in, what is written down, and how guessing is slowed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import SignInAttempt
from accounts.services import access
from audit.models import Event
from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"


def attempt(browser: Client, name: str, password: str, **extra: Any) -> Any:
    return browser.post(LOGIN, {"username": name, "password": password}, **extra)


def test_right_password_leads_to_where_the_person_wanted(client: Client, rui: Any) -> None:
    answer = client.post(
        LOGIN, {"username": "rui", "password": PASSWORD, "next": "/decisions/?tier=slm"}
    )
    assert (answer.status_code, answer["Location"]) == (303, "/decisions/?tier=slm")
    assert client.get("/decisions/").status_code == 200


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:1"])
def test_nobody_is_sent_to_another_site(client: Client, rui: Any, elsewhere: str) -> None:
    answer = client.post(LOGIN, {"username": "rui", "password": PASSWORD, "next": elsewhere})
    assert answer["Location"] == "/"


def test_sign_in_and_out_are_recorded(client: Client, rui: Any) -> None:
    attempt(client, "rui", PASSWORD)
    client.post("/accounts/logout/")
    kinds = Event.objects.filter(actor="rui").order_by("at").values_list("kind", flat=True)
    assert list(kinds) == ["person.signed_in", "person.signed_out"]
    assert client.get("/").status_code == 302


def test_sign_out_by_a_link_is_not_possible(client: Client, rui: Any) -> None:
    attempt(client, "rui", PASSWORD)
    assert client.get("/accounts/logout/").status_code == 405
    assert client.get("/").status_code == 200


def test_failure_says_the_same_for_known_and_unknown_names(client: Client, rui: Any) -> None:
    known = attempt(client, "rui", "wrong")
    unknown = attempt(client, "who", "wrong")
    assert known.status_code == unknown.status_code == 422
    errors = [answer.context["form"].non_field_errors() for answer in (known, unknown)]
    assert errors[0] == errors[1]


def test_failure_is_recorded_and_an_unknown_name_is_not_kept(client: Client, rui: Any) -> None:
    attempt(client, "rui", "wrong")
    attempt(client, "my-password-in-the-wrong-field", "x")
    recorded = Event.objects.filter(kind="person.sign_in_failed").order_by("at")
    assert [event.object_id for event in recorded] == ["rui", access.UNKNOWN_NAME]
    assert all(b"wrong-field" not in bytes(event.body) for event in recorded)


def test_deactivated_person_is_not_let_in(client: Client, rui: Any) -> None:
    rui.is_active = False
    rui.save()
    assert attempt(client, "rui", PASSWORD).status_code == 422


def test_sixth_try_is_refused_even_with_the_right_password(client: Client, rui: Any) -> None:
    first_five = [attempt(client, "rui", "wrong").status_code for _ in range(5)]
    sixth = attempt(client, "rui", PASSWORD)
    assert first_five == [422] * 5
    assert sixth.status_code == 429
    assert sixth["Retry-After"] == "900"
    assert b"Wait 15 minutes" in sixth.content
    assert not Event.objects.filter(kind="person.signed_in").exists()


def test_other_spelling_of_the_name_counts_as_the_same(client: Client, rui: Any) -> None:
    for name in ("rui", "RUI", " rui", "Rui", "rUi"):
        attempt(client, name, "wrong")
    assert attempt(client, "rui", PASSWORD).status_code == 429


def test_limit_does_not_lock_the_person_out_elsewhere(client: Client, rui: Any) -> None:
    for _ in range(6):
        attempt(client, "rui", "wrong")
    assert attempt(client, "rui", PASSWORD, REMOTE_ADDR="10.0.0.9").status_code == 303


def test_one_address_may_not_try_many_names(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "TRIES_OF_AN_ADDRESS", 3)
    answers = [attempt(client, f"name-{n}", "Spring2026").status_code for n in range(4)]
    assert answers == [422, 422, 422, 429]


def test_wait_ends_by_itself_and_is_not_prolonged_by_trying(client: Client, rui: Any) -> None:
    for _ in range(9):
        attempt(client, "rui", "wrong")
    assert SignInAttempt.objects.count() == 5
    SignInAttempt.objects.update(at=timezone.now() - timedelta(minutes=16))
    assert attempt(client, "rui", PASSWORD).status_code == 303


def test_success_starts_the_count_again(client: Client, rui: Any) -> None:
    for _ in range(4):
        attempt(client, "rui", "wrong")
    attempt(client, "rui", PASSWORD)
    assert not SignInAttempt.objects.exists()


def test_odd_bytes_in_a_name_are_no_error(client: Client, db: None) -> None:
    assert attempt(client, "a\x00b", "x").status_code == 422
    assert attempt(client, "x" * 5000, "x").status_code == 422


def test_form_needs_its_token(rui: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert attempt(browser, "rui", PASSWORD).status_code == 403


def test_own_password_needs_the_present_one(client: Client, rui: Any) -> None:
    attempt(client, "rui", PASSWORD)
    answer = client.post("/accounts/password/", {"old": "wrong", "new": "another-long-pass-7"})
    assert answer.status_code == 422
    rui.refresh_from_db()
    assert rui.check_password(PASSWORD)


def test_own_password_changes_and_other_sessions_end(client: Client, rui: Any) -> None:
    elsewhere = Client()
    attempt(client, "rui", PASSWORD)
    attempt(elsewhere, "rui", PASSWORD)
    answer = client.post("/accounts/password/", {"old": PASSWORD, "new": "another-long-pass-7"})
    assert answer.status_code == 303
    assert client.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302


# denials


def test_denied_screen_is_recorded_with_who_and_where(
    as_person: Callable[[str], Client],
) -> None:
    as_person("arjun").get("/settings/people/")
    denied = Event.objects.get(kind="access.denied")
    assert (denied.actor, denied.object_id, denied.result) == ("arjun", "people", "denied")
    assert denied.entry["details"]["path"] == "/settings/people/"


def test_visitor_who_is_not_signed_in_leaves_no_denial(client: Client, db: None) -> None:
    client.get("/settings/people/")
    assert not Event.objects.filter(kind="access.denied").exists()
