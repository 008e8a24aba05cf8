"""Sign-offs: the list, the request from a backend's page, and the acts of approvers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from routing.forms.signoffs import SignOffForm
from routing.models import Backend, SignOff
from routing.models.backends import Boundary
from routing.queries import signoffs as queries
from routing.queries.backends import backend_named
from routing.services import signoffs
from screens.access import needs
from screens.answers import status_of
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import page_of, redirect_303, render_screen


@require_GET
@needs("routing.view")
def signoff_list(request: HttpRequest) -> HttpResponse:
    filters, now = queries.Filters.of(request.GET), timezone.now()
    page = page_of(queries.signoffs(filters, now), request)
    context = {
        "filters": filters,
        "chips": filters.chips(),
        "page": page,
        "rows": [queries.row_of(signoff, now) for signoff in page],
        "standings": queries.STANDINGS,
        "classes": settings.DATA_CLASSES,
        "backends": Backend.objects.filter(boundary=Boundary.PUBLIC).order_by("name"),
    }
    return render_screen(request, "routing/signoffs.html", context, partial="list")


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.operate")
def ask(request: HttpRequest, name: str) -> HttpResponse:
    backend = backend_named(name)
    form = SignOffForm(request.POST or None, backend=backend)
    problem: DomainError | None = None
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                made = signoffs.request_signoff(backend=backend, by=request.user, **form.facts())
            except (Invalid, Conflict) as found:
                problem, status = found, status_of(found)
            else:
                return redirect_303(request, made, "Asked for. Two approvers decide about it now.")
    context = {"form": form, "backend": backend, "problem": problem}
    return render_screen(request, "routing/signoff_form.html", context, status=status)


@require_GET
@needs("routing.view")
def signoff(request: HttpRequest, pk: int) -> HttpResponse:
    return _page(request, signoffs.get_signoff(pk))


def _page(
    request: HttpRequest, one: SignOff, *, problem: DomainError | None = None, status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "signoff": one,
        "page": queries.page_of_signoff(one, request.user),
        "problem": problem,
        "reason": request.POST.get("reason", "") if problem else "",
    }
    return render_screen(request, "routing/signoff.html", context, status=status)


def _act(
    request: HttpRequest, pk: int, act: Callable[..., SignOff], message: Callable[[SignOff], str]
) -> HttpResponse:
    one = signoffs.get_signoff(pk)
    try:
        done = act(signoff=one, by=request.user, reason=request.POST.get("reason", ""))
    except (Invalid, Conflict) as problem:
        return _page(request, signoffs.get_signoff(pk), problem=problem, status=status_of(problem))
    return redirect_303(request, done, message(done))


@require_POST
@needs("routing.sign_off")
def approve(request: HttpRequest, pk: int) -> HttpResponse:
    def message(done: SignOff) -> str:
        if done.state == SignOff.State.GRANTED:
            return "Granted. Replicas follow within five seconds."
        return "Your approval is recorded. A second approver has to agree."

    return _act(request, pk, signoffs.approve_signoff, message)


@require_POST
@needs("routing.sign_off")
def refuse(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(request, pk, signoffs.refuse_signoff, lambda _: "Refused. Nothing is sent.")


@require_POST
@needs("routing.sign_off")
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(
        request,
        pk,
        signoffs.revoke_signoff,
        lambda _: "Revoked. Replicas stop sending within five seconds.",
    )
