"""The rollout of a route: its step, its guards, what stopped it, and the acts on it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from routing.forms.documents import ReasonForm
from routing.models import Rollout
from routing.queries.promotion import last_rollout, rollout_page, route_named
from routing.services.promotion import rollouts
from screens.access import needs
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import redirect_303, render_screen


@require_GET
@needs("routing.view")
def rollout(request: HttpRequest, slug: str) -> HttpResponse:
    return _page(request, slug)


def _page(
    request: HttpRequest, slug: str, *, problem: DomainError | None = None, status: int = 200
) -> HttpResponse:
    route = route_named(slug)
    context = {"route": route, "page": rollout_page(route), "problem": problem}
    return render_screen(request, "routing/rollout.html", context, status=status)


def _act(request: HttpRequest, slug: str, act: Callable[[Rollout, str], str]) -> HttpResponse:
    one = last_rollout(route_named(slug))
    if one is None:
        raise Http404
    form = ReasonForm(request.POST)
    try:
        if not form.is_valid():
            raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
        message = act(one, form.cleaned_data["reason"])
    except (Invalid, Conflict) as problem:
        status = 422 if isinstance(problem, Invalid) else 409
        return _page(request, slug, problem=problem, status=status)
    return redirect_303(request, reverse("rollout", args=[slug]), message)


@require_POST
@needs("routing.activate_policy")
def abort(request: HttpRequest, slug: str) -> HttpResponse:
    def act(one: Rollout, reason: str) -> str:
        rollouts.abort_rollout(rollout=one, by=request.user, reason=reason)
        return "Stopped. Replicas send everything to the version before within seconds."

    return _act(request, slug, act)


@require_POST
@needs("routing.promote_policy")
def resume(request: HttpRequest, slug: str) -> HttpResponse:
    def act(one: Rollout, reason: str) -> str:
        made = rollouts.resume_rollout(rollout=one, by=request.user, reason=reason)
        return f"Attempt {made.attempt} began at {made.share} %."

    return _act(request, slug, act)


@require_POST
@needs("routing.operate")
def note(request: HttpRequest, slug: str) -> HttpResponse:
    def act(one: Rollout, reason: str) -> str:
        incident = one.incidents.filter(noted_at__isnull=True).first()
        if incident is None:
            raise Conflict("There is no open incident.")
        rollouts.note_incident(incident=incident, by=request.user, reason=reason)
        return "Noted."

    return _act(request, slug, act)
