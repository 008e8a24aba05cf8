"""Page or fragment, how a change answers, and how lists are cut."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.messages import constants
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest
from django.test import RequestFactory

from screens import pages


def asked(path: str = "/decisions/", **headers: str) -> HttpRequest:
    request = RequestFactory().get(path, headers=headers)
    request._messages = CookieStorage(request)  # type: ignore[attr-defined]
    return request


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the templates that were asked for."""
    names: list[str] = []

    def render(name: str, context: Any, request: Any) -> str:
        names.append(name)
        return f"<{name}>"

    monkeypatch.setattr(pages, "render_to_string", render)
    return names


def test_a_plain_request_gets_the_whole_page(rendered: list[str]) -> None:
    pages.render_screen(asked(), "routing/decisions.html", {}, partial="rows")

    assert rendered == ["routing/decisions.html"]


def test_htmx_gets_the_fragment(rendered: list[str]) -> None:
    request = asked(HX_Request="true")

    pages.render_screen(request, "routing/decisions.html", {}, partial="rows")

    assert rendered == ["routing/decisions.html#rows"]


@pytest.mark.parametrize("header", ["HX_Boosted", "HX_History_Restore_Request"])
def test_boosted_links_and_history_get_the_whole_page(rendered: list[str], header: str) -> None:
    request = asked(HX_Request="true", **{header: "true"})

    pages.render_screen(request, "routing/decisions.html", {}, partial="rows")

    assert rendered == ["routing/decisions.html"]


@pytest.mark.parametrize("headers", [{}, {"HX_Request": "true"}])
def test_caches_are_always_told_that_the_answer_varies(
    rendered: list[str], headers: dict[str, str]
) -> None:
    answer = pages.render_screen(asked(**headers), "a.html", {}, partial="rows", status=422)

    assert "HX-Request" in answer["Vary"]
    assert answer.status_code == 422


def test_a_fragment_brings_waiting_messages_along(rendered: list[str]) -> None:
    request = asked(HX_Request="true")
    request._messages.add(constants.SUCCESS, "Released.")  # type: ignore[attr-defined]

    pages.render_screen(request, "a.html", {}, partial="rows")

    assert rendered == ["a.html#rows", "components/toasts.html"]


def test_a_change_answers_with_303_and_a_message() -> None:
    request = asked()

    answer = pages.redirect_303(request, "/review/", "Released.")

    assert (answer.status_code, answer["Location"]) == (303, "/review/")
    assert [str(m) for m in request._messages] == ["Released."]  # type: ignore[attr-defined]


def test_a_change_by_htmx_moves_the_browser_instead_of_swapping_a_page() -> None:
    answer = pages.redirect_303(asked(HX_Request="true"), "/review/")

    assert (answer.status_code, answer["HX-Redirect"]) == (200, "/review/")


def test_a_list_is_cut_at_the_asked_page() -> None:
    page = pages.page_of(list(range(120)), asked("/decisions/?page=3&route=triage"))

    assert list(page) == list(range(100, 120))
    assert (page.first, page.last, page.total) == (101, 120, 120)
    assert page.next_url is None


def test_the_way_to_the_neighbours_keeps_the_filters() -> None:
    page = pages.page_of(list(range(120)), asked("/decisions/?route=triage"))

    assert page.previous_url is None
    assert page.next_url == "/decisions/?route=triage&page=2"


@pytest.mark.parametrize("asked_page", ["0", "-1", "nine", "99999999999", "٣", ""])
def test_nonsense_page_numbers_lead_to_a_page_that_is_there(asked_page: str) -> None:
    page = pages.page_of(list(range(120)), asked(f"/decisions/?page={asked_page}"))

    assert page.number == 1


def test_a_page_past_the_end_becomes_the_last() -> None:
    assert pages.page_of(list(range(120)), asked("/decisions/?page=9")).number == 3


def test_an_empty_list_is_a_page_too() -> None:
    page = pages.page_of([], asked())

    assert (page.first, page.last, page.total, len(page)) == (0, 0, 0, 0)


def test_counting_stops_where_nobody_pages_any_more() -> None:
    page = pages.page_of(range(1_000_000), asked())

    assert (page.total, page.total_is_capped) == (10_000, True)
