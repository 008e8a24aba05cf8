"""The review queue, and taking the next case from it."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from review.errors import NoMoreClaims
from review.services import claims
from review.views.screen import place_of, queue_url, show
from screens.access import needs
from screens.answers import status_of
from screens.pages import redirect_303


@require_GET
@needs("review.view")
def queue(request: HttpRequest) -> HttpResponse:
    return show(request, _chosen(request))


def _chosen(request: HttpRequest) -> UUID | None:
    try:
        return UUID(request.GET["case"])
    except (KeyError, ValueError):
        return None


@require_POST
@needs("review.decide")
def claim_next(request: HttpRequest) -> HttpResponse:
    try:
        case = claims.claim_next(by=request.user)
    except NoMoreClaims as problem:
        return show(request, None, problem=problem, status=status_of(problem))
    if case is None:
        return redirect_303(request, queue_url(request), "No case waits for you.")
    return redirect_303(request, place_of(request, case), "The next case is yours for 10 minutes.")
