"""The first page: what needs a person, what runs, how the day goes."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from routing.queries import overview as queries
from screens import attention, preferences
from screens.access import needs
from screens.pages import render_screen, wants_fragment

STOP_POLLING = 286


@require_GET
@needs("routing.view")
def overview(request: HttpRequest) -> HttpResponse:
    is_fragment = wants_fragment(request)
    if is_fragment and preferences.read(request).live_paused:
        return HttpResponse(status=STOP_POLLING)
    now = queries.now_page(request.user)
    context = {
        "now": now,
        "engaged_switches": now.switches,
        "needs": attention.needs_of(request.user),
        # Charts change by the hour, so the part that refreshes itself leaves them out.
        "day": None if is_fragment else queries.day_page(),
    }
    return render_screen(request, "routing/overview.html", context, partial="now")
