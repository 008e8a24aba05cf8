"""The screens of sign-offs and stored secrets, as people with different jobs meet them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from routing.models import Backend, SignOff
from routing.services import registry, signoffs
from tests.routing.conftest import backend_fields

As = Callable[[str], Client]
People = dict[str, Any]


@pytest.fixture
def outside(people: People) -> Backend:
    return registry.register_backend(
        by=people["olivia"],
        name="outside",
        reason="test",
        **backend_fields(
            tier="llm",
            boundary="public",
            data_classes=["public", "internal"],
            processor="Example Models Ltd",
            processor_country="Ireland",
            processor_contract="DPA-14",
            processor_contact="privacy@models.example",
            processor_retention="not kept",
        ),
    )


def form(**changed: str) -> dict[str, str]:
    today = timezone.now().date()
    return {
        "data_class": "internal",
        "purpose": "Support answers",
        "risk_reference": "RISK-7",
        "conditions": "",
        "valid_from": today.isoformat(),
        "valid_to": (today + timedelta(days=60)).isoformat(),
        **changed,
    }


@pytest.fixture
def asked(outside: Backend, as_person: As) -> SignOff:
    as_person("olivia").post("/backends/outside/sign-offs/new/", form())
    return SignOff.objects.get()


def test_an_operator_asks_from_the_backends_page(outside: Backend, as_person: As) -> None:
    client = as_person("olivia")
    assert "/backends/outside/sign-offs/new/" in client.get("/backends/outside/").text

    answer = client.post("/backends/outside/sign-offs/new/", form())

    made = SignOff.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/sign-offs/{made.pk}/")
    assert made.valid_from <= timezone.now()


def test_a_request_that_cannot_be_stays_on_its_form(outside: Backend, as_person: As) -> None:
    client = as_person("olivia")

    past = client.post("/backends/outside/sign-offs/new/", form(valid_to="2020-01-01"))
    unknown = client.post("/backends/outside/sign-offs/new/", form(data_class="restricted"))

    assert (past.status_code, unknown.status_code) == (422, 422)
    assert "Support answers" in past.text
    assert not SignOff.objects.exists()


def test_asking_twice_for_the_same_is_a_conflict(asked: SignOff, as_person: As) -> None:
    assert as_person("olivia").post("/backends/outside/sign-offs/new/", form()).status_code == 409


def test_an_author_may_read_and_neither_ask_nor_approve(asked: SignOff, as_person: As) -> None:
    client = as_person("arjun")

    assert client.get(f"/sign-offs/{asked.pk}/").status_code == 200
    assert client.get("/backends/outside/sign-offs/new/").status_code == 403
    assert client.post(f"/sign-offs/{asked.pk}/approve/", {"reason": "x"}).status_code == 403


def test_two_approvers_grant_it_by_their_forms(
    asked: SignOff, as_person: As, people: People
) -> None:
    other = User.objects.create_user(username="quinn")
    other.groups.set(people["petra"].groups.all())
    second = Client()
    second.force_login(other)

    page = as_person("petra").get(f"/sign-offs/{asked.pk}/").text
    as_person("petra").post(f"/sign-offs/{asked.pk}/approve/", {"reason": "Assessed."})
    again = as_person("petra").get(f"/sign-offs/{asked.pk}/").text
    second.post(f"/sign-offs/{asked.pk}/approve/", {"reason": "Agreed."})

    assert "You would be the first of two" in page
    assert "You cannot approve this." in again
    assert "quinn" in again
    asked.refresh_from_db()
    assert asked.state == "granted"


def test_an_approval_without_a_reason_is_422_and_approves_nothing(
    asked: SignOff, as_person: As
) -> None:
    answer = as_person("petra").post(f"/sign-offs/{asked.pk}/approve/", {"reason": " "})

    assert answer.status_code == 422
    asked.refresh_from_db()
    assert asked.first_approver is None


def test_the_requester_who_is_superuser_gets_403(
    asked: SignOff, as_person: As, people: People
) -> None:
    User.objects.filter(pk=people["olivia"].pk).update(is_superuser=True)
    people["olivia"].refresh_from_db()

    answer = as_person("olivia").post(f"/sign-offs/{asked.pk}/approve/", {"reason": "x"})

    assert answer.status_code == 403


def test_a_late_refusal_is_a_conflict_with_the_state_of_now(
    asked: SignOff, as_person: As, people: People
) -> None:
    signoffs.refuse_signoff(signoff=asked, by=people["petra"], reason="Too broad.")

    answer = as_person("petra").post(f"/sign-offs/{asked.pk}/approve/", {"reason": "x"})

    assert answer.status_code == 409
    assert "refused" in answer.text


def test_the_list_filters_by_standing_and_the_clock_decides(
    asked: SignOff, outside: Backend, as_person: As, people: People
) -> None:
    ended = timezone.now() - timedelta(minutes=1)
    other = User.objects.create_user(username="quinn")
    SignOff.objects.create(
        backend=outside,
        data_class="public",
        purpose="Old campaign",
        risk_reference="R",
        state="granted",
        requested_by=people["olivia"],
        first_approver=people["petra"],
        second_approver=other,
        valid_from=ended - timedelta(days=30),
        valid_to=ended,
    )
    client = as_person("ada")

    assert "Old campaign" in client.get("/sign-offs/?standing=expired").text
    assert "Old campaign" not in client.get("/sign-offs/?standing=valid").text
    assert "Support answers" in client.get("/sign-offs/?standing=requested").text
    fragment = client.get("/sign-offs/?standing=expired", headers={"HX-Request": "true"})
    assert "<html" not in fragment.text


def test_no_screen_shows_a_stored_secret(outside: Backend, as_person: As) -> None:
    client = as_person("olivia")
    stored = client.post(
        "/backends/outside/secret/", {"secret": "sk-canary-99", "reason": "First key"}
    )
    outside.refresh_from_db()

    pages = [
        client.get(url).text
        for url in ("/backends/outside/", "/backends/outside/secret/", "/backends/outside/change/")
    ]

    assert stored.status_code == 303
    assert outside.secret_fingerprint in pages[0]
    assert not [page for page in pages if "sk-canary-99" in page]
    refused = client.post("/backends/outside/secret/", {"secret": "sk-canary-99", "reason": ""})
    assert refused.status_code == 422
    assert "sk-canary-99" not in refused.text


def test_a_stored_secret_is_removed_with_a_reason(outside: Backend, as_person: As) -> None:
    client = as_person("olivia")
    client.post("/backends/outside/secret/", {"secret": "sk-1", "reason": "First key"})

    assert client.post("/backends/outside/secret/remove/", {"reason": ""}).status_code == 422
    assert client.post("/backends/outside/secret/remove/", {"reason": "Old"}).status_code == 303
    outside.refresh_from_db()
    assert outside.secret_sealed is None
    assert as_person("petra").get("/backends/outside/secret/").status_code == 403


def test_before_disabling_the_page_names_the_rules_that_would_break(
    active_version: Any, as_person: As
) -> None:
    page = as_person("olivia").get("/backends/large/").text

    assert "Named by:" in page
    assert "rule Restricted data stays inside" in page
    assert "fallbacks" in page
