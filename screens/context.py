"""What every template may ask for without its view: navigation, preferences and `may`."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from screens import access, navigation, preferences, request_id


class Permitted:
    """Lets a template ask `{% if may.routing.edit_policy %}`.

    For showing a button, never for protecting what is behind it: the view does that.
    """

    def __init__(self, user: Any, app: str = "") -> None:
        self._user, self._app = user, app

    def __getitem__(self, name: str) -> Any:
        if not self._app:
            return Permitted(self._user, name)
        return access.may(self._user, f"{self._app}.{name}")

    def __iter__(self) -> Any:
        raise TypeError("ask for one permission, such as may.routing.view")


def screen(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `navigation theme shortcuts_on live_paused may role_names request_id`."""
    chosen = preferences.read(request)
    user = getattr(request, "user", None)
    known = {
        "theme": chosen.theme,
        "shortcuts_on": chosen.shortcuts_on,
        "live_paused": chosen.live_paused,
        "request_id": request_id.current(),
    }
    if user is None or not user.is_authenticated:
        return {**known, "navigation": (), "role_names": []}
    return {
        **known,
        # Lazy: a fragment has no navigation and must not pay for its counts.
        "navigation": SimpleLazyObject(lambda: navigation.links_for(user, request.path)),
        "role_names": SimpleLazyObject(
            lambda: [access.ROLES[slug].name for slug in access.roles_of(user)]
        ),
        "may": Permitted(user),
    }
