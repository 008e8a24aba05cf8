"""The registry's screens: reading it, changing it with a reason, and the kill switch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import Event
from routing.models import Backend, BackendProbe, KillSwitch, PolicyVersion
from routing.services import health

pytestmark = pytest.mark.django_db
As = Callable[[str], Client]

FORM: dict[str, Any] = {
    "name": "eu-large",
    "owner": "Platform",
    "tier": "llm",
    "boundary": "public",
    "base_url": "https://models.example.com/v1",
    "upstream_model": "big-2",
    "secret_ref": "env:EU_KEY",
    "data_classes": ["public", "internal"],
    "capabilities": ["stream"],
    "context_window": 32000,
    "max_output_tokens": 2048,
    "max_in_flight": 32,
    "input_usd_per_mtok": "2.5",
    "output_usd_per_mtok": "10",
    "reason": "Trial of an external model",
}


def probe(backend: Backend, *, ok: bool, minutes_ago: int) -> BackendProbe:
    return BackendProbe.objects.create(
        backend=backend,
        at=timezone.now() - timedelta(minutes=minutes_ago),
        ok=ok,
        status=200 if ok else 503,
        latency_ms=40,
        request="GET http://x/v1/models",
        detail="" if ok else "The backend answered with status 503.",
    )


def test_registered_backend_is_a_draft_and_recorded(as_person: As) -> None:
    answer = as_person("olivia").post("/backends/new/", FORM)
    assert answer.status_code == 303
    assert Backend.objects.get(name="eu-large").state == "draft"
    assert Event.objects.get(kind="backend.registered").reason == "Trial of an external model"


def test_secret_itself_is_refused_beside_the_form(as_person: As) -> None:
    answer = as_person("olivia").post("/backends/new/", {**FORM, "secret_ref": "sk-live-123"})
    assert answer.status_code == 422
    assert b"named by reference" in answer.content
    assert not Backend.objects.filter(name="eu-large").exists()


def test_name_that_is_taken_is_said_beside_the_form(as_person: As, registry: Any) -> None:
    answer = as_person("olivia").post("/backends/new/", {**FORM, "name": "large"})
    assert answer.status_code in (409, 422)
    assert b"error-summary" in answer.content


@pytest.mark.parametrize("name", ["arjun", "petra", "rui", "ada", "sam"])
def test_others_may_look_and_not_change(as_person: As, registry: Any, name: str) -> None:
    browser = as_person(name)
    assert browser.get("/backends/large/").status_code == 200
    assert browser.post("/backends/new/", FORM).status_code == 403
    assert browser.post("/backends/large/test/").status_code == 403
    assert browser.post("/backends/large/state/", {"state": "draining"}).status_code == 403
    assert not Backend.objects.filter(name="eu-large").exists()


def test_price_change_begins_a_new_price_list(as_person: As, registry: Any) -> None:
    answer = as_person("olivia").post(
        "/backends/large/change/", {**FORM, "boundary": "private", "output_usd_per_mtok": "7.5"}
    )
    assert answer.status_code == 303
    registry["large"].refresh_from_db()
    assert registry["large"].output_usd_per_mtok == Decimal("7.5")
    assert registry["large"].price_version == 2


def test_disabling_what_a_policy_names_is_refused_with_its_name(
    as_person: As, active_version: PolicyVersion
) -> None:
    answer = as_person("olivia").post(
        "/backends/large/state/", {"state": "disabled", "reason": "Contract ended"}
    )
    assert answer.status_code == 409
    assert b"support-triage@3" in answer.content
    assert b"Contract ended" in answer.content
    assert Backend.objects.get(name="large").state == "active"


def test_state_change_needs_a_reason(as_person: As, registry: Any) -> None:
    answer = as_person("olivia").post(
        "/backends/large/state/", {"state": "draining", "reason": " "}
    )
    assert answer.status_code == 422
    assert Backend.objects.get(name="large").state == "active"


def test_test_connection_says_what_came_back(
    as_person: As, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = health.Probe(
        ok=False,
        status=401,
        latency_ms=12,
        request="GET http://x",
        detail="It refuses our credentials.",
    )
    monkeypatch.setattr(health, "ask", lambda backend: seen)
    page = as_person("olivia").post("/backends/large/test/", follow=True).content.decode()
    assert "status 401, 12 ms" in page
    assert "It refuses our credentials." in page
    assert Event.objects.filter(kind="backend.tested", actor="olivia").count() == 1


def test_two_failed_probes_make_a_backend_unhealthy(as_person: As, registry: Any) -> None:
    probe(registry["large"], ok=False, minutes_ago=1)
    probe(registry["large"], ok=False, minutes_ago=2)
    probe(registry["small"], ok=False, minutes_ago=1)
    probe(registry["small"], ok=True, minutes_ago=2)
    rows = {
        row.backend.name: row.health for row in as_person("ada").get("/backends/").context["page"]
    }
    assert rows == {"large": "unhealthy", "small": "doubtful"}


def test_secret_is_shown_as_reference_only(
    as_person: As, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LARGE_KEY", "sk-canary-99")
    Backend.objects.filter(name="large").update(secret_ref="env:LARGE_KEY")
    page = as_person("olivia").get("/backends/large/").content.decode()
    assert "env:LARGE_KEY" in page
    assert "sk-canary-99" not in page


def test_filters_cut_the_list_down(as_person: As, registry: Any) -> None:
    page = as_person("ada").get("/backends/?tier=slm").context["page"]
    assert [row.backend.name for row in page] == ["small"]


def test_csv_holds_the_rows_of_the_view(as_person: As, active_version: PolicyVersion) -> None:
    text = as_person("ada").get("/backends/?tier=llm&format=csv").content.decode()
    assert "large" in text
    assert "support-triage@3" in text
    assert "small" not in text


def test_list_takes_the_same_queries_for_many_backends(
    as_person: As, active_version: PolicyVersion, django_assert_max_num_queries: Any
) -> None:
    for n in range(20):
        backend = Backend.objects.get(name="large")
        backend.pk, backend.name = None, f"large-{n}"
        backend.save(force_insert=True)
    browser = as_person("ada")
    with django_assert_max_num_queries(12):
        browser.get("/backends/")


# the kill switch

STOP: dict[str, Any] = {"scope": "public", "target": "", "reason": "Leak", "typed": "stop"}


def test_operator_stops_public_traffic_and_every_page_says_so(as_person: As, registry: Any) -> None:
    browser = as_person("olivia")
    assert browser.post("/kill-switch/engage/", STOP).status_code == 303
    for url in ("/", "/decisions/", "/backends/", "/backends/large/"):
        assert b"All public traffic is stopped." in browser.get(url).content
    assert Event.objects.get(kind="kill_switch.engaged").reason == "Leak"


def test_word_has_to_be_typed(as_person: As) -> None:
    answer = as_person("olivia").post("/kill-switch/engage/", {**STOP, "typed": "yes"})
    assert answer.status_code == 422
    assert not KillSwitch.objects.exists()


def test_stopping_twice_is_a_conflict_beside_the_form(as_person: As) -> None:
    browser = as_person("olivia")
    browser.post("/kill-switch/engage/", STOP)
    answer = browser.post("/kill-switch/engage/", STOP)
    assert answer.status_code == 409
    assert b"already engaged" in answer.content


def test_stopping_a_backend_needs_its_name(as_person: As, registry: Any) -> None:
    browser = as_person("olivia")
    assert browser.post("/kill-switch/engage/", {**STOP, "scope": "backend"}).status_code == 422
    named = {**STOP, "scope": "backend", "target": "large"}
    assert browser.post("/kill-switch/engage/", named).status_code == 303
    assert b"Traffic to large is stopped." in browser.get("/").content


def test_release_needs_a_reason(as_person: As) -> None:
    browser = as_person("olivia")
    browser.post("/kill-switch/engage/", STOP)
    switch = KillSwitch.objects.get()
    assert browser.post(f"/kill-switch/{switch.pk}/release/", {"reason": ""}).status_code == 422
    assert browser.post(f"/kill-switch/{switch.pk}/release/", {"reason": "Over"}).status_code == 303
    assert b"is stopped" not in browser.get("/").content


@pytest.mark.parametrize("name", ["arjun", "petra", "rui", "noor", "ada", "sam"])
def test_only_operators_pull_the_switch(as_person: As, name: str) -> None:
    assert as_person(name).post("/kill-switch/engage/", STOP).status_code == 403
    assert not KillSwitch.objects.exists()
