"""No address without a stated permission: the mistake would be a page that anyone may open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import AllowAny
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from screens.access import PERMISSIONS

OPEN_TO_ALL = {"accounts/login/", "accounts/logout/"}


def walk(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in patterns:
        address = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry.url_patterns, address)
        elif isinstance(entry, URLPattern):
            yield address, entry.callback


def views() -> list[tuple[str, Any]]:
    return list(walk(get_resolver(settings.ROOT_URLCONF).url_patterns))


def is_api(view: Any) -> bool:
    kind = getattr(view, "cls", None)
    return isinstance(kind, type) and issubclass(kind, APIView)


SCREENS = [(address, view) for address, view in views() if not is_api(view)]
API = [(address, view) for address, view in views() if is_api(view)]


def test_there_are_views_to_look_at() -> None:
    assert len(SCREENS) > 3


@pytest.mark.parametrize(("address", "view"), SCREENS, ids=[address for address, _ in SCREENS])
def test_every_screen_states_its_permission(address: str, view: Any) -> None:
    stated = getattr(view, "needs", None)

    assert stated is not None, f"/{address} has neither @needs nor @open_to_all"
    assert set(stated) <= PERMISSIONS.keys()


def test_only_signing_in_and_out_is_open_to_all() -> None:
    opened = {address for address, view in SCREENS if getattr(view, "open_to_all", False)}

    assert opened == OPEN_TO_ALL


def test_nothing_else_slips_past_the_sign_in_middleware() -> None:
    passing = {
        address for address, view in SCREENS if getattr(view, "login_required", True) is False
    }

    assert passing == OPEN_TO_ALL


@pytest.mark.parametrize(("address", "view"), API, ids=[address for address, _ in API])
def test_every_api_view_has_permission_classes(address: str, view: Any) -> None:
    classes = view.cls.permission_classes

    assert classes, f"/{address} has no permission class"
    assert AllowAny not in classes, f"/{address} is open to everyone"


@pytest.mark.skipif(not API, reason="there is no management API yet")
def test_the_api_is_closed_by_default() -> None:
    assert AllowAny not in api_settings.DEFAULT_PERMISSION_CLASSES
