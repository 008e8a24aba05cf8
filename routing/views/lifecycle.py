"""The life of a version beyond its verdicts: meaning and traffic, replicas, schedule, rebase."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from routing.forms.documents import ReasonForm, ScheduleForm
from routing.forms.witness import WitnessForm
from routing.queries import policies as queries
from routing.queries.leaks import leak_words
from routing.queries.meaning import meaning_page, sides_of
from routing.queries.routes import acknowledgements
from routing.services import rebase as rebasing
from routing.services import schedule as scheduling
from routing.services.leaks import leak_of
from routing.services.meaning import meaning_of, traffic_of
from routing.views.drafts import own_draft, revision_of
from routing.views.overview import STOP_POLLING
from routing.views.versions import act_on, version_page
from screens import preferences
from screens.access import needs
from screens.errors import Conflict
from screens.pages import redirect_303, render_screen, wants_fragment


@require_GET
@needs("routing.view")
def meaning(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The changes in meaning with their share of the recorded traffic, which takes a moment."""
    one = queries.version_named(slug, number)
    context = {
        "version": one,
        "route": one.route,
        "meaning": meaning_page(one, meaning_of(one), traffic_of(one)),
        "is_counted": True,
    }
    return render_screen(request, "routing/version_meaning.html", context, partial="counted")


@require_GET
@needs("routing.view")
def witness(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """A request by its signals under a version and its base. It holds no prompt, so it is GET."""
    one = queries.version_named(slug, number)
    registry = queries.registry_for(one.document)
    form = WitnessForm(request.GET if "signals" in request.GET else None, registry=registry)
    context: dict[str, Any] = {"version": one, "route": one.route, "form": form}
    status = 422 if form.is_bound and not form.is_valid() else 200
    if form.is_bound and status == 200:
        context["sides"] = sides_of(one, form.cleaned_data)
    return render_screen(request, "routing/witness.html", context, status=status)


@require_GET
@needs("routing.view")
def leak(request: HttpRequest, slug: str, number: int, key: str) -> HttpResponse:
    """The witness of a finding on its way out, and where live traffic stops it."""
    one = queries.version_named(slug, number)
    found = leak_of(version=one, key=key)
    context: dict[str, Any] = {"version": one, "route": one.route}
    if found is not None:
        finding, followed = found
        context |= {"finding": finding, "leak": followed, **leak_words(one, followed)}
    return render_screen(request, "routing/leak.html", context)


@require_GET
@needs("routing.view")
def replicas(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Which replicas have acknowledged; asks again by itself until it is paused."""
    if wants_fragment(request) and preferences.read(request).live_paused:
        return HttpResponse(status=STOP_POLLING)
    one = queries.version_named(slug, number)
    context = {"version": one, "route": one.route, "acknowledged": acknowledgements()}
    return render_screen(request, "routing/version_replicas.html", context, partial="live")


@require_POST
@needs("routing.activate_policy")
def schedule(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    one = queries.version_named(slug, number)

    def act(given: dict[str, Any]) -> str:
        scheduling.schedule_version(
            version=one, at=given["at"], by=request.user, reason=given["reason"]
        )
        return f"Scheduled for {given['at']:%Y-%m-%d %H:%M} UTC. It is checked again then."

    form = ScheduleForm(request.POST, auto_id="schedule_%s")
    return act_on(request, one, "schedule_form", form, act)


@require_POST
@needs("routing.activate_policy")
def cancel_schedule(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    one = queries.version_named(slug, number)

    def act(given: dict[str, Any]) -> str:
        scheduling.cancel_schedule(version=one, by=request.user, reason=given["reason"])
        return "The schedule is cancelled. The version is approved, and can be activated."

    return act_on(request, one, "reason_form", ReasonForm(request.POST), act)


@require_POST
@needs("routing.edit_policy")
def rebase(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    one = queries.version_named(slug, number)
    try:
        draft = rebasing.rebase_version(version=one, by=request.user)
    except Conflict as problem:
        fresh = queries.version_named(slug, number)
        return version_page(request, fresh, problem=problem, status=409)
    left = len(draft.conflicts)
    message = f"Draft {draft.number} begins from the active version with your changes."
    if left:
        message += f" {left} of them need your decision."
    return redirect_303(request, draft, message)


@require_POST
@needs("routing.edit_policy")
def settle_conflict(request: HttpRequest, slug: str, number: int, place: int) -> HttpResponse:
    draft = own_draft(request, slug, number)
    keep = request.POST.get("keep", "")
    try:
        rebasing.settle_conflict(
            version=draft, place=place, keep=keep, revision=revision_of(request), by=request.user
        )
    except Conflict as problem:
        fresh = queries.version_named(slug, number)
        return version_page(request, fresh, problem=problem, status=409)
    kept = "Your change" if keep == rebasing.MINE else "What is active"
    return redirect_303(request, draft, f"{kept} is kept.")
