"""The one place that maps a domain error to an HTTP answer: 403, 404, 409 or 422."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from screens import request_id
from screens.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from screens.pages import wants_fragment

log = logging.getLogger(__name__)

Denied = Callable[[HttpRequest, NotAllowed], None]

_on_denied: list[Denied] = []

STATUS: Final[tuple[tuple[type[DomainError], int], ...]] = (
    (NotAllowed, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Invalid, 422),
)

HEADINGS: Final[dict[int, str]] = {
    403: "You may not do this",
    404: "Nothing here",
    409: "This has changed in the meantime",
    422: "This cannot be done as asked",
}


def on_denied(listener: Denied) -> Denied:
    """Register who hears when a signed-in person was refused: the trail, which lies above us."""
    if listener not in _on_denied:
        _on_denied.append(listener)
    return listener


def tell_denied(request: HttpRequest, error: NotAllowed) -> None:
    user = getattr(request, "user", None)
    if error.is_recorded or user is None or not user.is_authenticated:
        return
    for listener in _on_denied:
        try:
            listener(request, error)
        except Exception:
            # The refusal stands, whether it can be written down or not.
            log.exception("A denial could not be passed on.")


def status_of(error: DomainError) -> int:
    """The status of an error; a kind without its own line is a conflict with the state."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 409)


def as_json(error: DomainError) -> dict[str, Any]:
    """The body of the management API for a domain error."""
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            "what_next": error.what_next,
            "fields": {},
            "request_id": request_id.current(),
        }
    }


def page_for(request: HttpRequest, error: DomainError) -> HttpResponse:
    """A page; for htmx the same words as an alert above the content, which keeps the form."""
    status = status_of(error)
    if isinstance(error, NotAllowed):
        tell_denied(request, error)
    context = {"problem": error, "problem_heading": HEADINGS[status]}
    if not wants_fragment(request):
        body = render_to_string("screens/problem.html", context, request)
        return HttpResponse(body, status=status)
    answer = HttpResponse(
        render_to_string("components/problem.html", context, request), status=status
    )
    answer["HX-Retarget"] = "#problem"
    answer["HX-Reswap"] = "innerHTML show:#problem:top"
    if status in (403, 404):
        # htmx does not swap these, so the words travel in a header and toasts.js shows them.
        answer["HX-Trigger"] = json.dumps({"toast": {"tone": "bad", "text": error.message}})
    return answer


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """For settings.CSRF_FAILURE_VIEW: a form that is too old, or was not sent by this site."""
    return page_for(
        request,
        NotAllowed(
            "This form was too old, or did not come from Signalbox, so nothing was changed.",
            code="csrf_failed",
            what_next="Go back, load the page again and repeat it. Cookies must be allowed.",
        ),
    )
