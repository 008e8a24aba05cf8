"""Pages are asked for as a browser would: the folder of collected files has to be there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(autouse=True, scope="session")
def folder_of_static_files() -> None:
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's own browser; a download of another one is not part of a fresh clone."""
    # From here on Playwright keeps an event loop in this thread, where Django refuses to query.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=CHROMIUM_ARGUMENTS
        )
        yield browser
        browser.close()
