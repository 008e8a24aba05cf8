"""The overview: what needs a person, the figures and their comparison, and who sees what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.ids import uuid7
from review.services import cases
from routing.models import BackendProbe, Budget, Decision, Hold, PolicyVersion, Spend
from routing.queries import overview as queries
from screens import attention

pytestmark = pytest.mark.django_db
As = Callable[[str], Client]
Make = Callable[..., Decision]


def needs_on(answer: Any) -> list[str]:
    return [need.sentence for need in answer.context["needs"]]


def test_each_figure_is_compared_with_the_period_before(as_person: As, listed: Make) -> None:
    now = timezone.now()
    for minutes in (5, 10, 70):
        listed(at=now - timedelta(minutes=minutes))
    listed(at=now - timedelta(minutes=6), outcome="failed")
    hour = as_person("ada").get("/").context["now"].periods[0]
    figures = {figure.label: figure for figure in hour.compared}
    total, slm, failed = (figures[name] for name in ("Requests", "Small model", "Failed"))
    assert (total.value, total.before, total.change) == (3, 1, "up from 1")
    assert slm.share == pytest.approx(2 / 3)
    assert (failed.value, failed.tone) == (1, "bad")


def test_a_figure_leads_to_the_list_with_the_same_number(as_person: As, listed: Make) -> None:
    listed(outcome="refused")
    listed(outcome="blocked")
    listed(outcome="safe_default", action="hold")
    browser = as_person("ada")
    for figure in browser.get("/").context["now"].periods[0].compared:
        page = browser.get("/decisions/" + figure.query).context["page"]
        assert len(page.decisions) == figure.value, figure.label


def test_public_backends_and_escalations_are_counted_apart(as_person: As, listed: Make) -> None:
    listed(boundary="public", tier="llm")
    listed(cause="uncertain_escalated", tier="llm")
    listed()
    hour = as_person("ada").get("/").context["now"].periods[0]
    found = {figure.label: figure.value for figure in hour.compared}
    assert (found["Sent to a public backend"], found["Escalated"]) == (1, 1)


def test_where_requests_went_stands_above_the_day_before(as_person: As, listed: Make) -> None:
    listed(at=timezone.now() - timedelta(hours=30), outcome="refused")
    listed()
    day = as_person("ada").get("/").context["now"].periods[1]
    assert [part.count for part in day.split.segments][:1] == [1]
    assert {part.label: part.count for part in day.split_before.segments}["Refused"] == 1


def test_cost_is_set_against_each_budget_in_money(as_person: As, active_version: Any) -> None:
    today = timezone.now().date()
    Budget.objects.create(scope="route", target="support-triage", usd_day=10, usd_month=100)
    for client, usd in (("AbCd1234", 6), ("Other123", 3)):
        Spend.objects.create(client_id=client, route="support-triage", day=today, usd=usd)
    answer = as_person("ada").get("/")
    day, month = answer.context["now"].budgets
    assert (day.period, day.percent, day.tone) == ("day", 90, "warn")
    assert (month.period, month.percent, month.tone) == ("month", 9, "neutral")
    assert b"90 % used" in answer.content


def test_saving_is_told_in_words_with_its_price_list(
    as_person: As, listed: Make, active_version: PolicyVersion
) -> None:
    listed(cost_usd=Decimal("0.25"), baseline_cost_usd=Decimal("1"))
    money = as_person("ada").get("/").context["now"].money
    assert money.saved == Decimal("0.75")
    assert money.sentence == (
        "Routing saved 75 % today against sending everything to large at price list 1."
    )


def test_without_traffic_nothing_is_claimed(as_person: As, active_version: PolicyVersion) -> None:
    now = as_person("ada").get("/").context["now"]
    assert now.money.saved is None
    assert now.periods[0].figures.p95_ms is None


def test_hours_without_traffic_stay_on_the_axis(listed: Make) -> None:
    listed(at=timezone.now() - timedelta(hours=5))
    slots = queries.hourly(timezone.now())
    assert len(slots) == 24
    assert sum(figures.total for _, figures in slots) == 1


def test_unhealthy_backend_needs_a_person_first(
    as_person: As, active_version: PolicyVersion, registry: Any
) -> None:
    for minutes in (1, 2):
        BackendProbe.objects.create(
            backend=registry["large"],
            at=timezone.now() - timedelta(minutes=minutes),
            ok=False,
            latency_ms=9,
            request="GET x",
        )
    assert needs_on(as_person("ada").get("/"))[0].startswith("large is unhealthy")


def test_version_in_review_is_urgent_for_approvers(
    as_person: As, active_version: PolicyVersion, people: dict[str, Any]
) -> None:
    PolicyVersion.objects.create(
        route=active_version.route,
        number=4,
        state="in_review",
        document=active_version.document,
        digest="sha256:1",
        author=people["arjun"],
        submitted_at=timezone.now(),
    )
    tones = {
        name: [need.tone for need in as_person(name).get("/").context["needs"]]
        for name in ("petra", "rui")
    }
    assert tones == {"petra": ["warn"], "rui": ["accent"]}


def test_provider_is_asked_only_for_people_who_may_see_it(people: dict[str, Any]) -> None:
    asked: list[str] = []

    def provider(user: Any) -> list[attention.Need]:
        asked.append(user.username)
        return []

    attention.provide("review.view")(provider)
    try:
        attention.needs_of(people["rui"])
        attention.needs_of(people["arjun"])
    finally:
        attention._providers.pop(provider)
    assert asked == ["rui"]


def test_last_acts_are_for_those_who_may_read_the_trail(as_person: As) -> None:
    assert b"Last recorded acts" in as_person("ada").get("/").content
    assert b"Last recorded acts" not in as_person("arjun").get("/").content


def test_only_operators_see_the_switch(as_person: As) -> None:
    assert b"Stop all public traffic" in as_person("olivia").get("/").content
    assert b"Stop all public traffic" not in as_person("ada").get("/").content


def test_refresh_leaves_the_charts_out(as_person: As, listed: Make) -> None:
    answer = as_person("ada").get("/", headers={"HX-Request": "true"})
    assert b'id="now"' in answer.content
    assert b"What changed" not in answer.content
    assert answer.context["day"] is None


def test_refresh_ends_when_updates_are_paused(as_person: As) -> None:
    browser = as_person("ada")
    browser.cookies["live"] = "paused"
    assert browser.get("/", headers={"HX-Request": "true"}).status_code == 286
    assert browser.get("/").status_code == 200


def test_page_takes_a_bounded_number_of_queries(
    as_person: As, listed: Make, active_version: PolicyVersion, django_assert_max_num_queries: Any
) -> None:
    for n in range(60):
        listed(at=timezone.now() - timedelta(minutes=n * 20))
    browser = as_person("olivia")
    with django_assert_max_num_queries(46):
        browser.get("/")


def test_person_without_a_role_is_told_whom_to_ask(as_person: As) -> None:
    answer = as_person("nobody").get("/")
    assert answer.status_code == 403
    assert b"Ask an administrator" in answer.content


# system


def test_system_page_names_settings_and_hides_secrets(
    as_person: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNALBOX_SECRET_KEY", "canary-secret-5")
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://o:canary-pass-6@h/d")
    page = as_person("olivia").get("/settings/system/").content.decode()
    assert "SIGNALBOX_SECRET_KEY" in page
    assert "canary" not in page


def test_system_page_says_what_the_database_role_is(as_person: As) -> None:
    system = as_person("olivia").get("/settings/system/").context["system"]
    assert (system.role, system.role_tone) == ("signalbox_app", "good")
    assert system.pending == []


def test_broker_that_is_away_is_no_error(as_person: As, settings: Any) -> None:
    settings.BROKER_URL = "redis://127.0.0.1:1/0"
    answer = as_person("olivia").get("/settings/system/")
    assert answer.status_code == 200
    assert b"The broker cannot be asked" in answer.content


def test_system_page_is_for_operators(as_person: As) -> None:
    assert as_person("arjun").get("/settings/system/").status_code == 403


def test_held_requests_lead_the_reviewer_to_the_queue(
    as_person: As, people: dict[str, Any]
) -> None:
    now = timezone.now()
    hold = Hold.objects.create(
        decision_id=uuid7(),
        opened_at=now,
        deadline_at=now + timedelta(minutes=5),
        route="support-triage",
        policy="support-triage@3",
        rule="legal",
        queue="complaints",
        data_class="internal",
        client="claims-portal",
        sentence="Held.",
        request_payload=uuid7(),
        dedupe_key="one",
    )
    cases.open_case(decision_id=hold.pk)
    (need,) = as_person("rui").get("/").context["needs"]
    assert need.sentence.startswith("1 held request waits for a reviewer; the first is due in")
    assert (need.tone, need.url) == ("bad", "/review/")
    assert needs_on(as_person("arjun").get("/")) == []
