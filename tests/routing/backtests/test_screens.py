"""The screens of a backtest: forms and links alone lead from the size of a window to one trace."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from kombu.exceptions import OperationalError

from routing.models import Backtest, PolicyVersion
from routing.services import backtests, registry
from routing.services.analysis import registry_facts
from routing.tasks import run_backtest
from tests.routing.backtests.conftest import hold_rule, narrow
from tests.routing.conftest import backend_fields

pytestmark = pytest.mark.django_db
People = dict[str, Any]


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that were handed to the queue."""
    found: list[str] = []
    monkeypatch.setattr(run_backtest, "delay", found.append)
    return found


@pytest.fixture
def version(
    history: Callable[..., list[UUID]], draft_of: Callable[..., PolicyVersion]
) -> PolicyVersion:
    history(60)
    return draft_of(rules=[hold_rule(), narrow(300)])


@pytest.fixture
def as_person(people: People) -> Callable[[str], Client]:
    def sign_in(who: str) -> Client:
        client = Client()
        client.force_login(people[who])
        return client

    return sign_in


def start(client: Client, version: PolicyVersion, **fields: str) -> Any:
    return client.post(url(version), {"days": "7", "sample": "", **fields})


def url(version: PolicyVersion) -> str:
    return reverse("backtests", args=[version.route.slug, version.number])


def done_by(version: PolicyVersion, person: Any) -> Backtest:
    waiting = backtests.request_backtest(version=version, days=14, by=person)
    return backtests.run_backtest(backtest_id=waiting.pk)


def test_the_size_and_the_duration_are_shown_before_anything_starts(
    version: PolicyVersion, as_person: Callable[[str], Client]
) -> None:
    page = as_person("arjun").get(url(version)).content.decode()
    assert "last 7 days: 60 decisions, a second or two" in page
    assert "No backtest yet" in page
    assert not Backtest.objects.exists()


def test_a_run_is_started_watched_and_read_without_a_script(
    version: PolicyVersion, as_person: Callable[[str], Client], asked_for: list[str]
) -> None:
    client = as_person("arjun")
    answer = start(client, version)
    assert answer.status_code == 303
    (run_id,) = asked_for
    page = client.get(answer["Location"]).content.decode()
    assert "Look again" in page
    assert "Cancel the backtest" in page
    backtests.run_backtest(backtest_id=UUID(run_id))
    page = client.get(answer["Location"]).content.decode()
    assert "Newly held for a person" in page
    assert "Answers were not regenerated" in page
    assert "No decision would cross a guardrail" in page
    assert "hx-trigger" not in page.split('id="backtest"')[1].split(">")[0]


def test_a_group_opens_its_real_decisions_and_one_shows_both_traces(
    version: PolicyVersion, people: People, as_person: Callable[[str], Client]
) -> None:
    found = done_by(version, people["arjun"])
    client = as_person("petra")
    page = client.get(found.get_absolute_url() + "newly_held/").content.decode()
    links = re.findall(r'href="(/routes/[^"]*/decisions/[^"]*)"', page)
    assert len(links) == found.counts["newly_held"]
    detail = client.get(links[0]).content.decode()
    assert "As it was, under support@1" in detail
    assert f"Under {version}" in detail
    assert "Restricted data needs a person" in detail
    assert detail.count('class="trace"') == 2


def test_the_fragment_asks_again_only_while_the_run_goes_on(
    version: PolicyVersion, people: People, as_person: Callable[[str], Client]
) -> None:
    waiting = backtests.request_backtest(version=version, days=14, by=people["arjun"])
    client = as_person("arjun")
    htmx = {"HX-Request": "true"}
    part = client.get(waiting.get_absolute_url(), headers=htmx).content.decode()
    assert "<html" not in part
    assert 'hx-trigger="every 1s"' in part
    backtests.run_backtest(backtest_id=waiting.pk)
    part = client.get(waiting.get_absolute_url(), headers=htmx).content.decode()
    assert "hx-trigger" not in part


def test_cancelling_says_so_and_a_second_time_is_too_late(
    version: PolicyVersion, people: People, as_person: Callable[[str], Client]
) -> None:
    waiting = backtests.request_backtest(version=version, days=14, by=people["arjun"])
    client = as_person("arjun")
    cancel = waiting.get_absolute_url() + "cancel/"
    assert client.post(cancel).status_code == 303
    assert "was cancelled after" in client.get(waiting.get_absolute_url()).content.decode()
    assert client.post(cancel).status_code == 409


def test_the_approver_finds_the_last_result_on_the_page_of_the_version(
    version: PolicyVersion, people: People, as_person: Callable[[str], Client]
) -> None:
    found = done_by(version, people["arjun"])
    page = as_person("petra").get(version.get_absolute_url()).content.decode()
    assert found.get_absolute_url() in page
    registry.register_backend(
        by=people["olivia"], name="another", reason="test", **backend_fields(tier="llm")
    )
    page = as_person("petra").get(found.get_absolute_url()).content.decode()
    assert "This result is stale" in page


def test_taking_note_of_guardrails_is_a_form_with_a_reason(
    version: PolicyVersion,
    decided: Callable[..., UUID],
    people: People,
    as_person: Callable[[str], Client],
) -> None:
    seen = registry_facts()
    seen["small"] = replace(seen["small"], boundary="public", signoffs={"confidential": 2**40})
    decided(data_class="confidential", prompt_tokens=250, backends=seen)
    found = done_by(version, people["arjun"])
    here, client = found.get_absolute_url(), as_person("arjun")
    page = client.get(here).content.decode()
    assert "1 decision would cross a guardrail" in page
    assert "cannot be submitted" in page
    listed = client.get(here + "guardrails/").content.decode()
    assert "Guardrails crossed" in listed
    assert as_person("ada").post(here + "acknowledge/", {"reason": "x"}).status_code == 403
    assert client.post(here + "acknowledge/", {"reason": ""}).status_code == 422
    assert client.post(here + "acknowledge/", {"reason": "A trial."}).status_code == 303
    assert "took note" in client.get(here).content.decode()


def test_wrong_windows_and_a_queue_that_is_down_are_said_beside_the_form(
    version: PolicyVersion, as_person: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_person("arjun")
    assert start(client, version, days="400").status_code == 422

    def down(run_id: str) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(run_backtest, "delay", down)
    answer = start(client, version)
    page = client.get(answer["Location"]).content.decode()
    assert "The job queue does not answer" in page


@pytest.mark.parametrize("who", ["rui", "ada"])
def test_others_read_results_and_start_nothing(
    version: PolicyVersion, people: People, as_person: Callable[[str], Client], who: str
) -> None:
    found = done_by(version, people["arjun"])
    client = as_person(who)
    assert "Start the backtest" not in client.get(url(version)).content.decode()
    assert start(client, version).status_code == 403
    assert client.get(found.get_absolute_url()).status_code == 200
    assert as_person("nobody").get(found.get_absolute_url()).status_code == 403


def test_what_is_not_there_is_not_found(
    version: PolicyVersion, people: People, as_person: Callable[[str], Client]
) -> None:
    found = done_by(version, people["arjun"])
    client, nothing = as_person("arjun"), "00000000-0000-7000-8000-000000000000"
    here = found.get_absolute_url()
    assert client.get(here + "unheard_of/").status_code == 404
    assert client.get(here + f"decisions/{nothing}/").status_code == 404
    assert client.get(here.replace(str(found.pk), nothing)).status_code == 404
