"""The list of decisions: filters, keyset paging, new ones counted, no text, CSV."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import Event
from routing.models import Decision
from routing.queries import decisions as queries

pytestmark = pytest.mark.django_db
As = Callable[[str], Client]
Make = Callable[..., Decision]


def ids_on(answer: Any) -> list[UUID]:
    return [row.pk for row in answer.context["page"].decisions]


def test_newest_decision_comes_first(as_person: As, listed: Make) -> None:
    older = listed(at=timezone.now() - timedelta(minutes=5))
    newer = listed()
    assert ids_on(as_person("ada").get("/decisions/")) == [newer.pk, older.pk]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("route", "claims"),
        ("outcome", "failed"),
        ("action", "hold"),
        ("tier", "llm"),
        ("backend", "large"),
        ("boundary", "public"),
        ("rule", "default"),
        ("data_class", "restricted"),
        ("cause", "default_route"),
        ("policy", "support-triage@4"),
        ("request_id", "req-wanted"),
    ],
)
def test_a_filter_decides_what_is_listed(
    as_person: As, listed: Make, name: str, value: str
) -> None:
    listed()
    wanted = listed(**{name: value})
    assert ids_on(as_person("ada").get("/decisions/", {name: value})) == [wanted.pk]


def test_client_filter_uses_the_key_and_not_its_name(as_person: As, listed: Make) -> None:
    listed(client_id="Other111")
    wanted = listed(client_id="Mine2222")
    assert ids_on(as_person("ada").get("/decisions/?client=Mine2222")) == [wanted.pk]


def test_period_filter_leaves_older_decisions_out(as_person: As, listed: Make) -> None:
    listed(at=timezone.now() - timedelta(hours=3))
    recent = listed(at=timezone.now() - timedelta(minutes=3))
    assert ids_on(as_person("ada").get("/decisions/?period=1h")) == [recent.pk]


def test_unknown_filter_value_finds_nothing_and_says_so(as_person: As, listed: Make) -> None:
    listed()
    answer = as_person("ada").get("/decisions/?backend=no-such&before=not-a-uuid")
    assert answer.status_code == 200
    assert b"No decision fits these filters" in answer.content


def test_nul_in_a_filter_is_no_error(as_person: As, listed: Make) -> None:
    assert as_person("ada").get("/decisions/?rule=%00").status_code == 200


def test_pages_hold_still_while_decisions_arrive(
    as_person: As, listed: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PER_PAGE", 2)
    start = timezone.now() - timedelta(minutes=30)
    rows = [listed(at=start + timedelta(seconds=n)) for n in range(4)]
    browser = as_person("ada")
    first = browser.get("/decisions/")
    listed()
    second = browser.get("/decisions/" + first.context["older_url"])
    assert ids_on(first) + ids_on(second) == [row.pk for row in reversed(rows)]
    assert second.context["older_url"] == ""


def test_older_link_keeps_the_filters(
    as_person: As, listed: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PER_PAGE", 1)
    listed()
    listed()
    url = as_person("ada").get("/decisions/?tier=slm").context["older_url"]
    assert "tier=slm" in url
    assert "before=" in url


def test_every_value_is_a_link_that_filters_by_it(as_person: As, listed: Make) -> None:
    listed()
    page = as_person("ada").get("/decisions/?route=support-triage").content.decode()
    assert "?route=support-triage&amp;rule=narrow-work" in page
    assert "?route=support-triage&amp;outcome=served" in page


def test_a_chip_takes_its_filter_off_and_keeps_the_others(as_person: As, listed: Make) -> None:
    listed()
    chips = as_person("ada").get("/decisions/?tier=slm&backend=small").context["chips"]
    assert [chip.url for chip in chips] == ["?backend=small", "?tier=slm"]


def test_new_decisions_are_counted_and_not_pushed(as_person: As, listed: Make) -> None:
    seen = listed()
    listed(tier="llm")
    listed(tier="slm")
    answer = as_person("ada").get(f"/decisions/new/?tier=slm&after={seen.pk}")
    assert "1 new" in answer.content.decode()
    assert "tier=slm" in answer.content.decode()


def test_nothing_new_is_an_empty_answer(as_person: As, listed: Make) -> None:
    seen = listed()
    answer = as_person("ada").get(f"/decisions/new/?after={seen.pk}")
    assert answer.content.strip() == b""


def test_polling_ends_when_updates_are_paused(as_person: As, listed: Make) -> None:
    browser = as_person("ada")
    browser.cookies["live"] = "paused"
    assert browser.get("/decisions/new/").status_code == 286


def test_htmx_gets_the_list_alone(as_person: As, listed: Make) -> None:
    listed()
    answer = as_person("ada").get("/decisions/", headers={"HX-Request": "true"})
    assert b"<html" not in answer.content
    assert b'id="list"' in answer.content
    assert "HX-Request" in answer["Vary"]


def test_csv_has_the_rows_of_the_view_and_no_formula(as_person: As, listed: Make) -> None:
    listed(tier="llm")
    listed(request_id="=HYPERLINK(1)")
    answer = as_person("ada").get("/decisions.csv?tier=slm")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [row["request_id"] for row in rows] == ["'=HYPERLINK(1)"]


def test_person_without_a_role_may_not_see_decisions(as_person: As, listed: Make) -> None:
    assert as_person("nobody").get("/decisions/").status_code == 403
    assert as_person("nobody").get("/decisions.csv").status_code == 403


def test_visitor_is_asked_to_sign_in(client: Client) -> None:
    answer = client.get("/decisions/?tier=slm")
    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/login/?next=/decisions/%3Ftier%3Dslm"


def test_a_full_page_takes_few_queries(
    as_person: As, listed: Make, django_assert_max_num_queries: Any
) -> None:
    for n in range(40):
        listed(at=timezone.now() - timedelta(seconds=n))
    browser = as_person("ada")
    with django_assert_max_num_queries(14):
        browser.get("/decisions/")


# saved filters


def test_view_is_kept_under_a_name_and_found_again(as_person: As, listed: Make) -> None:
    listed(outcome="failed")
    browser = as_person("ada")
    answer = browser.post(
        "/decisions/filters/", {"name": "Broken", "query": "?outcome=failed&before=x"}, follow=True
    )
    assert answer.redirect_chain[-1] == ("/decisions/?outcome=failed", 303)
    (saved,) = answer.context["saved"]
    assert (saved.name, saved.query) == ("Broken", "?outcome=failed")
    assert len(browser.get("/decisions/" + saved.query).context["page"].decisions) == 1
    assert Event.objects.filter(kind="filter.saved", object_id="Broken", actor="ada").exists()


def test_saved_filters_are_ones_own(as_person: As) -> None:
    as_person("ada").post("/decisions/filters/", {"name": "Mine", "query": "?tier=slm"})
    other = as_person("olivia")
    assert list(other.get("/decisions/").context["saved"]) == []
    (saved,) = as_person("ada").get("/decisions/").context["saved"]
    assert other.post(f"/decisions/filters/{saved.pk}/remove/").status_code == 404
    assert as_person("ada").post(f"/decisions/filters/{saved.pk}/remove/").status_code == 303
    assert list(as_person("ada").get("/decisions/").context["saved"]) == []


@pytest.mark.parametrize(
    ("name", "query", "status"),
    [("", "?tier=slm", 422), ("All", "", 422), ("Taken", "?tier=llm", 409)],
)
def test_filter_that_cannot_be_kept_says_why(
    as_person: As, name: str, query: str, status: int
) -> None:
    browser = as_person("ada")
    browser.post("/decisions/filters/", {"name": "Taken", "query": "?tier=slm"})
    answer = browser.post("/decisions/filters/", {"name": name, "query": query})
    assert answer.status_code == status
    assert answer.context["problem"].message in html.unescape(answer.content.decode())
