"""What only a browser can tell: contrast as painted, overflow, keys, and a policy that holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.web, pytest.mark.django_db(transaction=True)]

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
Open = Callable[..., Page]


@pytest.fixture
def open_page(
    chromium: Browser,
    live_server: Any,
    people: dict[str, Any],
) -> Iterator[Open]:
    """Open an address as olivia; every complaint of the console fails the test."""
    client = Client()
    client.force_login(people["olivia"])
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_(path: str = "/styleguide/", *, width: int = 1400, **options: Any) -> Page:
        cookies = {settings.SESSION_COOKIE_NAME: session, **options.pop("cookies", {})}
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        context.add_cookies(
            [{"name": n, "value": v, "url": live_server.url} for n, v in cookies.items()]
        )
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: (
                complaints.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        page.goto(live_server.url + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def violations(page: Page) -> list[str]:
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}}).response
    assert len(found["passes"]) > 20
    return [f"{v['id']}: {v['nodes'][0]['target']}" for v in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 700, 1400])
def test_every_part_passes_axe_in_both_themes_at_every_width(
    open_page: Open, scheme: str, width: int
) -> None:
    page = open_page(width=width, color_scheme=scheme, reduced_motion="reduce")
    page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")

    assert violations(page) == []


@pytest.mark.parametrize("width", [320, 375, 640, 960, 1024, 1400])
def test_no_page_scrolls_sideways(open_page: Open, width: int) -> None:
    page = open_page(width=width)

    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0


def test_every_target_is_at_least_24_pixels(open_page: Open) -> None:
    page = open_page()

    small = page.evaluate(
        """[...document.querySelectorAll("button, summary, .button, .chip, nav a")]
        .map((element) => [element.textContent.trim(), element.getBoundingClientRect()])
        .filter(([, box]) => box.width && (box.width < 24 || box.height < 24))
        .map(([text]) => text)"""
    )
    assert small == []


def test_the_chosen_theme_wins_over_the_device(open_page: Open) -> None:
    page = open_page(color_scheme="light", cookies={"theme": "dark"})

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 19, 21)"


def test_the_navigation_is_shown_when_wide_and_folded_when_narrow(open_page: Open) -> None:
    wide, narrow = open_page(width=1400), open_page(width=320)

    assert wide.get_by_role("link", name="Preferences").is_visible()
    assert not narrow.get_by_role("link", name="Preferences").is_visible()
    narrow.get_by_text("Menu").click()
    assert narrow.get_by_role("link", name="Preferences").is_visible()


def test_a_question_mark_lists_the_keys(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("?")

    assert page.get_by_role("dialog", name="Keys on this page").is_visible()
    assert page.get_by_role("cell", name="Approve").is_visible()


def test_a_key_in_a_field_is_a_letter(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Search the reasons").press_sequentially("f?")

    assert page.get_by_label("Search the reasons").input_value() == "f?"
    assert not page.get_by_role("dialog").is_visible()


def test_keys_do_nothing_when_they_are_switched_off(open_page: Open) -> None:
    page = open_page(cookies={"shortcuts": "off"})
    page.keyboard.press("?")

    assert not page.get_by_role("dialog").is_visible()
    assert page.locator("[aria-keyshortcuts]").count() == 0


def test_j_walks_on_from_the_open_row(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("j")

    assert page.evaluate("document.activeElement.textContent") == "Low score on a legal question"


def test_the_pause_button_says_that_it_is_pressed(open_page: Open) -> None:
    page = open_page()
    pause = page.get_by_role("button", name="Pause updates")
    pause.click()

    assert pause.get_attribute("aria-pressed") == "true"


def test_nothing_moves_for_those_who_asked_for_stillness(open_page: Open) -> None:
    page = open_page(reduced_motion="reduce")

    assert page.evaluate("document.getAnimations().length") == 0


def test_paper_shows_the_light_theme_and_absolute_times(open_page: Open) -> None:
    page = open_page(color_scheme="dark", cookies={"theme": "dark"})
    page.emulate_media(media="print")

    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(25, 26, 29)"
    assert not page.get_by_role("navigation", name="Main").is_visible()
    shown = "getComputedStyle(document.querySelector('time[title]'), '::after').content"
    assert "UTC" in page.evaluate(shown)


def test_everything_is_there_without_a_script(open_page: Open) -> None:
    page = open_page(java_script_enabled=False)

    page.get_by_text("Stop all public traffic").first.click()
    assert page.get_by_label("Reason, kept in the audit trail").nth(1).is_visible()
