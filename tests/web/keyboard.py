"""A person without a mouse: Tab, Shift+Tab, Enter, Space, arrows and typing, and nothing else.

Every stop of the focus is looked at: it must be drawn and on the screen. The only address that is
ever typed is the one of the sign-in page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

from tests.web import looks

MOST_STOPS = 300
Name = str | re.Pattern[str]
LINK, BUTTON, FIELD, CHOICE, FOLD = "a", "button", "field", "choice", "summary"
_FIELDS = {"input", "textarea", "select"}
_CHOICES = {"radio", "checkbox"}


def _is(stop: dict[str, Any], kind: str, name: Name) -> bool:
    is_choice = stop["tag"] == "input" and stop["type"] in _CHOICES
    fits = {
        FIELD: stop["tag"] in _FIELDS and not is_choice,
        CHOICE: is_choice,
    }.get(kind, stop["tag"] == kind)
    if not fits:
        return False
    if isinstance(name, str):
        return bool(stop["name"].removesuffix(" optional") == name)
    return bool(name.search(stop["name"]))


class Keyboard:
    def __init__(self, page: Page, *, script: bool = True) -> None:
        self.page = page
        self.script = script
        self.stops = 0

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def look(self) -> dict[str, Any] | None:
        """Where the focus is. What has it must be visible, wherever a key has moved it."""
        stop = looks.focus(self.page)
        if stop is not None:
            self.stops += 1
            where = f"{stop['tag']} “{stop['name'][:60]}” of {self.page.url}"
            assert stop["ring"], f"the focus is not drawn on {where}"
            assert stop["on_screen"], f"the focus is not on the screen on {where}"
        return stop

    def tab_to(self, kind: str, name: Name, *, back: bool = False) -> None:
        """Go on with Tab until the focus is there; twice around the page is not finding it."""
        key, seen, rounds = ("Shift+Tab" if back else "Tab"), [], 0
        for _ in range(MOST_STOPS):
            self.press(key)
            stop = self.look()
            if stop is None:
                rounds += 1
                assert rounds < 3, f"{kind} {name!r} is not among {seen} on {self.page.url}"
            elif _is(stop, kind, name):
                return
            else:
                seen.append(f"{stop['tag']}:{stop['name'][:30]}")
        raise AssertionError(f"{kind} {name!r} is not among {seen} on {self.page.url}")

    def content(self) -> None:
        """Past the navigation by the link that is there for it."""
        self.tab_to(LINK, "Skip to content")
        self.press("Enter")

    def follow(self, name: Name) -> None:
        """A link that leads to another page."""
        self.tab_to(LINK, name)
        with self.page.expect_navigation():
            self.press("Enter")

    def submit(self, name: Name, *, key: str = "Enter") -> None:
        """A button that sends a form, until the next page is there."""
        self.tab_to(BUTTON, name)
        with self.page.expect_navigation():
            self.press(key)

    def unfold(self, name: Name) -> None:
        self.tab_to(FOLD, name)
        self.press("Enter")

    def type_into(self, name: Name, text: str) -> None:
        self.tab_to(FIELD, name)
        self.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def set_date(self, name: Name, digits: str) -> None:
        """A date is typed part by part; the browser goes on to the next by itself."""
        self.tab_to(FIELD, name)
        self.page.keyboard.type(digits)

    def select(self, name: Name, option: str) -> None:
        """Type the beginning of the option, as in every list of the browser."""
        self.tab_to(FIELD, name)
        self.page.keyboard.type(option)
        shown = self.page.evaluate(
            "document.activeElement.selectedOptions[0].textContent.trim().toLowerCase()"
        )
        assert shown.startswith(option.lower()), f"{name!r} shows {shown!r}, not {option!r}"

    def choose(self, group: Name, option: Name) -> None:
        """A radio button: Tab comes to the group, arrows go through it and choose."""
        self.tab_to(CHOICE, group)
        if not _is(looks.focus(self.page) or {}, CHOICE, option):
            self._arrow_to(option)
        else:
            self.press("Space")
        assert self.page.evaluate("document.activeElement.checked")

    def _arrow_to(self, option: Name) -> None:
        for _ in range(20):
            self.press("ArrowDown")
            stop = self.look()
            if stop is not None and _is(stop, CHOICE, option):
                return
        raise AssertionError(f"no arrow leads to {option!r}")

    def sign_in(self, url: str, name: str, password: str) -> None:
        self.page.goto(f"{url}/accounts/login/")
        self.type_into("Username", name)
        self.type_into("Password", password)
        self.submit("Sign in")

    def menu(self, name: str) -> None:
        """An entry of the navigation, from anywhere; it may say how many things wait there."""
        self.follow(re.compile(f"^{re.escape(name)}( \\d.*)?$"))


# ``sit_down("arjun")``: a signed-in person in a window of their own, without a mouse.
SitDown = Callable[..., Keyboard]
