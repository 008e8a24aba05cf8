"""Every page in a real browser: axe, both themes, 320 px, the focus, no script, a quiet console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from playwright.sync_api import Browser, Page

from tests.installation import Site
from tests.web import looks
from tests.web.conftest import SignIn, sign_in
from tests.web.pages import NO_PAGES, PAGES, Walked

pytestmark = [pytest.mark.web, pytest.mark.xdist_group("live")]

Names = dict[str, Any]
Opened = tuple[Page, list[str]]


@pytest.fixture(scope="module")
def opened(chromium: Browser, site: Site) -> Iterator[Callable[..., Opened]]:
    """One window a person for all pages, and what its console has complained about."""
    windows: dict[tuple[str, bool], Opened] = {}

    def of(who: str, *, script: bool = True) -> Opened:
        if (who, script) not in windows:
            page = chromium.new_context(
                reduced_motion="reduce", java_script_enabled=script
            ).new_page()
            if who:
                sign_in(page, site, who)
            said: list[str] = []
            page.on(
                "console", lambda m: said.append(m.text) if m.type in {"error", "warning"} else None
            )
            page.on("pageerror", lambda problem: said.append(str(problem)))
            windows[who, script] = (page, said)
        page, said = windows[who, script]
        said.clear()
        page.set_viewport_size({"width": 1280, "height": 900})
        return page, said

    yield of
    for page, _ in windows.values():
        page.context.close()


@pytest.mark.parametrize("walked", PAGES, ids=str)
def test_a_page_is_accessible_quiet_and_fits(
    site: Site, opened: Callable[..., Opened], stock: Names, walked: Walked
) -> None:
    """Opened once and looked at in several ways: wide and light, dark, by Tab, and narrow."""
    page, complaints = opened(walked.who)
    page.emulate_media(color_scheme="light")

    answer = page.goto(site.url + walked.address(stock))

    assert answer is not None
    assert answer.status == 200
    assert page.locator("h1").count() == 1
    looks.unfold(page)
    assert looks.violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert looks.violations(page, looks.COLOURS) == []
    stops, wrong = looks.walk_with_tab(page)
    assert wrong == []
    assert stops > 2
    page.set_viewport_size({"width": 320, "height": 800})
    assert looks.overflow(page) == 0
    assert looks.violations(page, looks.NARROW) == []
    assert complaints == []


@pytest.mark.parametrize("walked", PAGES, ids=str)
def test_a_page_works_without_javascript(
    site: Site, opened: Callable[..., Opened], stock: Names, walked: Walked
) -> None:
    page, _ = opened(walked.who, script=False)

    answer = page.goto(site.url + walked.address(stock))

    assert answer is not None
    assert answer.status == 200
    assert page.locator("main h1").count() == 1
    assert page.locator(".needs-script").filter(visible=True).count() == 0


@pytest.mark.parametrize("who", ["olivia", "arjun", "petra", "rui", "ada", "sam"])
def test_the_navigation_offers_only_what_opens(site: Site, signed_in: SignIn, who: str) -> None:
    page = signed_in(who)
    page.goto(site.url)
    links = page.locator("nav a[href^='/']").evaluate_all(
        "all => all.map(a => a.getAttribute('href'))"
    )

    answers = {link: page.request.get(site.url + link).status for link in sorted(set(links))}

    assert answers
    assert set(answers.values()) == {200}


def _patterns(entries: list[Any]) -> Iterator[URLPattern]:
    for entry in entries:
        if isinstance(entry, URLResolver):
            yield from _patterns(entry.url_patterns)
        else:
            yield entry


def _answers_get(pattern: URLPattern) -> bool:
    """A view that takes only POST says so before it asks who is there; the API has no pages."""
    if str(pattern.name).startswith("api-"):
        return False
    if getattr(pattern.callback, "open_to_all", False):
        return pattern.name == "login"
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    return pattern.callback(request).status_code != 405


def test_every_address_that_answers_get_is_walked() -> None:
    names = {one.name for one in _patterns(get_resolver().url_patterns) if _answers_get(one)}

    assert names - NO_PAGES.keys() == {walked.name for walked in PAGES}
    assert NO_PAGES.keys() <= names
