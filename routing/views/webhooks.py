"""Webhooks: where applications are told that a response ended, and what became of each message."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from routing.forms.webhooks import EndpointForm, RotateSecretForm
from routing.models import WebhookDelivery, WebhookEndpoint
from routing.queries import webhooks as queries
from routing.services import webhook_sending, webhooks
from screens.access import needs
from screens.answers import status_of
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import page_of, redirect_303, render_screen


@require_GET
@needs("routing.operate")
def endpoint_list(request: HttpRequest) -> HttpResponse:
    page = page_of(queries.endpoints(), request)
    return render_screen(request, "routing/webhooks.html", {"page": page})


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.operate")
def new_endpoint(request: HttpRequest) -> HttpResponse:
    form = EndpointForm(request.POST or None, is_new=True)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                made, secret = webhooks.create_endpoint(by=request.user, **form.cleaned_data)
            except (Invalid, Conflict) as problem:
                form.add_error(None, f"{problem.message} {problem.what_next}")
                status = status_of(problem)
            else:
                return _shown_once(request, made, secret)
    context = {"form": form, "endpoint": None}
    return render_screen(request, "routing/webhook_form.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.operate")
def change_endpoint(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    endpoint = queries.endpoint_of(pk)
    known = {name: getattr(endpoint, name) for name in ("url", "events", "description")}
    form = EndpointForm(request.POST or None, is_new=False, initial=known)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                webhooks.change_endpoint(endpoint=endpoint, by=request.user, **form.cleaned_data)
            except (Invalid, Conflict) as problem:
                form.add_error(None, f"{problem.message} {problem.what_next}")
                status = status_of(problem)
            else:
                return redirect_303(request, endpoint, "The webhook is changed.")
    context = {"form": form, "endpoint": endpoint}
    return render_screen(request, "routing/webhook_form.html", context, status=status)


@require_GET
@needs("routing.operate")
def endpoint_page(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    return _page(request, queries.endpoint_of(pk))


@require_POST
@needs("routing.operate")
def rotate(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    endpoint = queries.endpoint_of(pk)
    form = RotateSecretForm(request.POST)
    if not form.is_valid():
        return _page(request, endpoint, rotate_form=form, status=422)
    try:
        made, secret = webhooks.rotate_secret(
            endpoint=endpoint,
            by=request.user,
            overlap=form.overlap_of(),
            reason=form.cleaned_data["reason"],
        )
    except Invalid as problem:
        form.add_error(None, problem.message)
        return _page(request, endpoint, rotate_form=form, status=422)
    return _shown_once(request, made, secret)


@require_POST
@needs("routing.operate")
def switch(request: HttpRequest, pk: uuid.UUID, to: str) -> HttpResponse:
    endpoint, reason = queries.endpoint_of(pk), request.POST.get("reason", "")
    act = webhooks.enable_endpoint if to == "enable" else webhooks.disable_endpoint
    try:
        act(endpoint=endpoint, by=request.user, reason=reason)
    except (Invalid, Conflict) as problem:
        more: dict[str, Any] = {"problem": problem, "reason": reason}
        return _page(request, endpoint, status=status_of(problem), **more)
    return redirect_303(request, endpoint, f"The webhook is {to}d.")


@require_POST
@needs("routing.operate")
def test(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    endpoint = queries.endpoint_of(pk)
    try:
        made = webhooks.send_test(endpoint=endpoint, by=request.user)
    except Conflict as problem:
        return _page(request, endpoint, problem=problem, status=status_of(problem))
    return redirect_303(request, made, "The test is on its way; load this page again in a moment.")


@require_GET
@needs("routing.operate")
def delivery_list(request: HttpRequest) -> HttpResponse:
    filters = queries.DeliveryFilters.of(request.GET.dict())
    context = {
        "filters": filters,
        "page": page_of(queries.deliveries(filters), request),
        "endpoints": queries.endpoints(),
        "events": queries.EVENTS,
        "states": WebhookDelivery.State.values,
    }
    return render_screen(request, "routing/webhook_deliveries.html", context)


@require_GET
@needs("routing.operate")
def delivery_page(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    return _delivery(request, queries.delivery_of(pk))


@require_POST
@needs("routing.operate")
def send_again(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    delivery = queries.delivery_of(pk)
    try:
        webhooks.send_again(delivery=delivery, by=request.user)
    except Conflict as problem:
        return _delivery(request, delivery, problem=problem, status=status_of(problem))
    return redirect_303(request, delivery, "It is sent again, with the same id.")


def _page(
    request: HttpRequest,
    endpoint: WebhookEndpoint,
    *,
    rotate_form: RotateSecretForm | None = None,
    problem: DomainError | None = None,
    reason: str = "",
    status: int = 200,
) -> HttpResponse:
    filters = queries.DeliveryFilters(endpoint=str(endpoint.pk))
    context = {
        "endpoint": endpoint,
        "signs_twice": endpoint.signs_twice(timezone.now()),
        "deliveries": queries.deliveries(filters)[:10],
        "rotate_form": rotate_form or RotateSecretForm(),
        "problem": problem,
        "reason": reason,
    }
    return render_screen(request, "routing/webhook.html", context, status=status)


def _delivery(
    request: HttpRequest,
    delivery: WebhookDelivery,
    *,
    problem: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    body = orjson.dumps(orjson.loads(delivery.body), option=orjson.OPT_INDENT_2).decode()
    context = {
        "delivery": delivery,
        "body": body,
        "most_tries": webhook_sending.MOST_TRIES,
        "problem": problem,
    }
    return render_screen(request, "routing/webhook_delivery.html", context, status=status)


def _shown_once(request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> HttpResponse:
    context = {"endpoint": endpoint, "secret": secret}
    answer = render_screen(request, "routing/webhook_once.html", context, status=201)
    answer["Cache-Control"] = "no-store"
    return answer
