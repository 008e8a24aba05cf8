"""A real browser on the running product: signed in as anybody, in both themes, at any width."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.installation import ROOT, Site
from tests.web.keyboard import Keyboard, SitDown
from tests.web.stock import PASSWORD

SignIn = Callable[..., Page]


def sign_in(page: Page, site: Site, name: str) -> None:
    page.goto(f"{site.url}/accounts/login/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", site.people.get(name, PASSWORD))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/accounts/login/" not in url)


@pytest.fixture(scope="session")
def stock(site: Site) -> dict[str, Any]:
    """One of everything in the installation; see tests/web/stock.py."""
    made = subprocess.run(
        [sys.executable, "-m", "tests.web.stock", "--url", site.url, "--key", site.api_key],
        cwd=ROOT,
        env={**site.environment, "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return json.loads(made.stdout)


@pytest.fixture(scope="session")
def sessions() -> dict[str, Any]:
    """What the browser keeps of each person who has signed in, so that each does it once."""
    return {}


@pytest.fixture
def signed_in(chromium: Browser, site: Site, sessions: dict[str, Any]) -> Iterator[SignIn]:
    """``signed_in("rui", color_scheme="dark", width=320)`` gives a page of that person."""
    contexts: list[Any] = []

    def open_page(name: str, *, width: int = 1280, **options: Any) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            storage_state=sessions.get(name),
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        if name not in sessions:
            sign_in(page, site, name)
            sessions[name] = context.storage_state()
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def sit_down(chromium: Browser, site: Site) -> Iterator[SitDown]:
    """``sit_down("arjun")``: a signed-in person in a window of their own, without a mouse."""
    contexts: list[Any] = []

    def of(name: str, *, script: bool = True) -> Keyboard:
        context = chromium.new_context(
            viewport={"width": 1280, "height": 900},
            reduced_motion="reduce",
            java_script_enabled=script,
            accept_downloads=True,
        )
        contexts.append(context)
        keys = Keyboard(context.new_page(), script=script)
        keys.sign_in(site.url, name, site.people.get(name, PASSWORD))
        return keys

    yield of
    for context in contexts:
        context.close()
