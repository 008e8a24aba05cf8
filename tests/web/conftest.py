"""A real browser on the running product: signed in as anybody, in both themes, at any width."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.installation import Site

SignIn = Callable[..., Page]


def sign_in(page: Page, site: Site, name: str) -> None:
    page.goto(f"{site.url}/accounts/login/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", site.people[name])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/accounts/login/" not in url)


@pytest.fixture
def signed_in(chromium: Browser, site: Site) -> Iterator[SignIn]:
    """``signed_in("rui", color_scheme="dark", width=320)`` gives a page of that person."""
    contexts: list[Any] = []

    def open_page(name: str, *, width: int = 1280, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        sign_in(page, site, name)
        return page

    yield open_page
    for context in contexts:
        context.close()
