"""The kill switch: stop traffic at once, and let it go again. Both with a reason."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from routing.forms.switches import EngageForm
from routing.models import KillSwitch
from routing.services import registry
from screens.access import needs
from screens.answers import status_of
from screens.errors import Conflict, DomainError, Invalid, NotFound
from screens.pages import redirect_303, render_screen


@require_GET
@needs("routing.view")
def kill_switch(request: HttpRequest) -> HttpResponse:
    form = EngageForm(
        initial={
            "scope": request.GET.get("scope", KillSwitch.Scope.PUBLIC),
            "target": request.GET.get("target", "")[:64],
        }
    )
    return _page(request, form)


@require_POST
@needs("routing.operate")
def engage(request: HttpRequest) -> HttpResponse:
    form = EngageForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    try:
        switch = registry.engage_switch(by=request.user, **form.facts())
    except (Invalid, Conflict, NotFound) as problem:
        form.add_error(None, problem.message)
        return _page(request, form, status=status_of(problem))
    what = switch.target or "all public traffic"
    return redirect_303(
        request, "kill-switch", f"Stopped: {what}. Every replica follows within five seconds."
    )


@require_POST
@needs("routing.operate")
def release(request: HttpRequest, pk: int) -> HttpResponse:
    switch = KillSwitch.objects.filter(pk=pk).first()
    if switch is None:
        raise NotFound("There is no such switch.")
    try:
        registry.release_switch(
            switch=switch, by=request.user, reason=request.POST.get("reason", "")
        )
    except (Invalid, Conflict) as problem:
        return _page(
            request, EngageForm(), problem=problem, problem_pk=pk, status=status_of(problem)
        )
    what = switch.target or "all public traffic"
    return redirect_303(request, "kill-switch", f"Released: {what} flows again.")


def _page(
    request: HttpRequest,
    form: EngageForm,
    *,
    problem: DomainError | None = None,
    problem_pk: int = 0,
    status: int = 200,
) -> HttpResponse:
    switches = KillSwitch.objects.select_related("engaged_by", "released_by")
    context = {
        "form": form,
        "engaged": list(switches.filter(released_at__isnull=True)),
        "released": list(switches.filter(released_at__isnull=False)[:20]),
        "problem": problem,
        "problem_pk": problem_pk,
    }
    return render_screen(request, "routing/kill_switch.html", context, status=status)
