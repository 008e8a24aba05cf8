"""The registry of backends: what they are, how they do, and changing them with a reason."""

from __future__ import annotations

import csv
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from audit.actors import Actor
from routing.forms.backends import BackendForm, RegisterForm
from routing.forms.signoffs import SecretForm
from routing.models import Backend
from routing.queries import backends as queries
from routing.services import health, registry, secrets
from screens.access import needs
from screens.answers import status_of
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import page_of, redirect_303, render_screen
from screens.spreadsheets import cells


@require_GET
@needs("routing.view")
def backend_list(request: HttpRequest) -> HttpResponse:
    filters = queries.Filters.of(request.GET)
    rows = queries.rows(filters)
    if request.GET.get("format") == "csv":
        return _csv(rows)
    context = {
        "filters": filters,
        "chips": filters.chips(),
        "page": page_of(rows, request),
        "query": filters.query(),
        "states": queries.STATES,
        "sorts": queries.SORTS,
        "classes": _classes(),
    }
    return render_screen(request, "routing/backends.html", context, partial="list")


def _classes() -> tuple[str, ...]:
    from django.conf import settings

    return tuple(settings.DATA_CLASSES)


def _csv(rows: list[queries.Row]) -> HttpResponse:
    name = f"backends-{timezone.now():%Y%m%dT%H%M%SZ}.csv"
    answer = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    writer = csv.writer(answer)
    writer.writerow(queries.CSV_HEAD)
    writer.writerows(cells(queries.csv_row(row)) for row in rows)
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.operate")
def register(request: HttpRequest) -> HttpResponse:
    form = RegisterForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                backend = registry.register_backend(by=request.user, **form.facts())
            except (Invalid, Conflict) as problem:
                form.add_error(None, problem.message)
                status = status_of(problem)
            else:
                message = f"{backend.name} is registered as a draft. Test it, then activate it."
                return redirect_303(request, backend, message)
    return render_screen(request, "routing/backend_form.html", {"form": form}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.operate")
def change(request: HttpRequest, name: str) -> HttpResponse:
    backend = queries.backend_named(name)
    form = BackendForm(request.POST) if request.method == "POST" else BackendForm.of(backend)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                registry.change_backend(backend=backend, by=request.user, **form.facts())
            except (Invalid, Conflict) as problem:
                form.add_error(None, problem.message)
                status = status_of(problem)
            else:
                message = f"{name} is changed; replicas follow within five seconds."
                return redirect_303(request, backend, message)
    context = {"form": form, "backend": backend}
    return render_screen(request, "routing/backend_form.html", context, status=status)


@require_GET
@needs("routing.view")
def backend(request: HttpRequest, name: str) -> HttpResponse:
    return _backend_page(request, queries.backend_named(name))


@require_POST
@needs("routing.operate")
def test_connection(request: HttpRequest, name: str) -> HttpResponse:
    backend = queries.backend_named(name)
    probe = health.probe_backend(backend_id=backend.pk, by=Actor.of(request.user))
    came = f"status {probe.status}" if probe.status else "no answer"
    verdict = "answered as it should" if probe.ok else f"did not pass: {probe.detail}"
    return redirect_303(
        request,
        reverse("backend", args=[name]) + "#probe",
        f"{name} {verdict} ({came}, {probe.latency_ms} ms).",
        level=messages.SUCCESS if probe.ok else messages.ERROR,
    )


@require_POST
@needs("routing.operate")
def change_state(request: HttpRequest, name: str) -> HttpResponse:
    backend, state = queries.backend_named(name), request.POST.get("state", "")
    try:
        registry.set_backend_state(
            backend=backend, state=state, by=request.user, reason=request.POST.get("reason", "")
        )
    except (Invalid, Conflict) as problem:
        return _backend_page(
            request, backend, problem=problem, wanted=state, status=status_of(problem)
        )
    return redirect_303(request, backend, f"{name} is now {backend.get_state_display()}.")


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.operate")
def secret(request: HttpRequest, name: str) -> HttpResponse:
    backend = queries.backend_named(name)
    form, status = SecretForm(request.POST or None), 200
    problem: DomainError | None = None
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                registry.store_secret(backend=backend, by=request.user, **form.cleaned_data)
            except (Invalid, Conflict) as found:
                problem, status = found, status_of(found)
            else:
                message = f"The secret of {name} is stored; replicas use it within five seconds."
                return redirect_303(request, backend, message)
    context = {"backend": backend, "form": form, "problem": problem}
    return render_screen(request, "routing/backend_secret.html", context, status=status)


@require_POST
@needs("routing.operate")
def remove_secret(request: HttpRequest, name: str) -> HttpResponse:
    backend = queries.backend_named(name)
    try:
        registry.remove_secret(
            backend=backend, by=request.user, reason=request.POST.get("reason", "")
        )
    except (Invalid, Conflict) as problem:
        context = {"backend": backend, "form": SecretForm(), "problem": problem}
        status = status_of(problem)
        return render_screen(request, "routing/backend_secret.html", context, status=status)
    return redirect_303(request, backend, f"The stored secret of {name} is removed.")


def _backend_page(
    request: HttpRequest,
    backend: Backend,
    *,
    problem: DomainError | None = None,
    wanted: str = "",
    status: int = 200,
) -> HttpResponse:
    acts = [
        {
            "state": state,
            "label": queries.ACTS[state],
            "consequence": queries.CONSEQUENCES[state],
            "error": problem.message if problem and state == wanted else "",
            "what_next": problem.what_next if problem and state == wanted else "",
        }
        for state in queries.STATES
        if state != backend.state
    ]
    context: dict[str, Any] = {
        "page": queries.backend_page(backend),
        "backend": backend,
        "acts": acts,
        "secret_state": _secret_state(backend),
        "reason": request.POST.get("reason", "") if problem else "",
    }
    return render_screen(request, "routing/backend.html", context, status=status)


def _secret_state(backend: Backend) -> str:
    """Whether the reference leads to something here; never what."""
    if not backend.secret_reference:
        return "none needed"
    try:
        return "found" if secrets.resolve(backend.secret_reference) else "empty"
    except secrets.SecretMissing:
        return "missing here"
