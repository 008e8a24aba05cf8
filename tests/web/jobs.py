"""Ways through the product that several jobs by keyboard share."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.web import looks
from tests.web.keyboard import Keyboard


def title_of(slug: str) -> str:
    return slug.replace("-", " ").capitalize()


def open_route(keys: Keyboard, slug: str) -> None:
    keys.menu("Routes and policies")
    keys.content()
    keys.follow(title_of(slug))


def open_version(keys: Keyboard, slug: str, number: int) -> None:
    open_route(keys, slug)
    keys.content()
    keys.follow(f"Version {number}")


def approve(keys: Keyboard, slug: str, number: int) -> None:
    judge(keys, slug, number, verdict="Approve", comment="I read what it means and agree.")


def judge(keys: Keyboard, slug: str, number: int, *, verdict: str, comment: str) -> None:
    open_version(keys, slug, number)
    keys.content()
    keys.choose(re.compile("^(Approve|Request changes|Reject)$"), verdict)
    keys.type_into("Comment, kept in the audit trail", comment)
    keys.submit("Give verdict")
    expect(keys.page.locator("#toasts")).to_contain_text("Your verdict is recorded")


def step(keys: Keyboard, name: str, *, lands_on: str, key: str = "Enter") -> None:
    """Press a button of the conditions; the focus is then where the work goes on."""
    keys.tab_to("button", name)
    if keys.script:
        with keys.page.expect_response(lambda answer: answer.request.method == "POST"):
            keys.press(key)
    else:
        with keys.page.expect_navigation():
            keys.press(key)
    # The browser moves the focus a moment after it has drawn the page.
    for _ in range(30):
        stop = looks.focus(keys.page) or {"name": "nothing"}
        if stop["name"] == lands_on:
            return
        keys.page.wait_for_timeout(100)
    raise AssertionError(f"the focus is on {stop['name']!r}, not on {lands_on!r}")
