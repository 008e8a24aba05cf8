"""How a person wants the screens: three cookies, read on the server so that nothing flashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse

THEMES: Final[dict[str, str]] = {
    "system": "As the device",
    "light": "Light",
    "dark": "Dark",
}
ONE_YEAR_S: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    theme: str = "system"
    shortcuts_on: bool = True
    live_paused: bool = False


def read(request: HttpRequest) -> Preferences:
    """What the cookies say; anything unknown counts as not set."""
    theme = request.COOKIES.get("theme", "system")
    return Preferences(
        theme=theme if theme in THEMES else "system",
        shortcuts_on=request.COOKIES.get("shortcuts") != "off",
        live_paused=request.COOKIES.get("live") == "paused",
    )


def write(request: HttpRequest, answer: HttpResponse, chosen: Preferences) -> None:
    values = {
        "theme": chosen.theme,
        "shortcuts": "on" if chosen.shortcuts_on else "off",
        "live": "paused" if chosen.live_paused else "on",
    }
    for name, value in values.items():
        answer.set_cookie(
            name,
            value,
            max_age=ONE_YEAR_S,
            samesite="Lax",
            httponly=True,
            secure=request.is_secure(),
        )
