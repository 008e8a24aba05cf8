"""Promoting one version: its checks, the proposal on frozen evidence, approvals, the start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from routing.forms.documents import ReasonForm
from routing.forms.promotion import WaiveForm
from routing.models import PolicyVersion, Promotion
from routing.queries import policies as queries
from routing.queries.promotion import promote_page
from routing.services.promotion import proposals
from screens.access import needs
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import redirect_303, render_screen


@require_GET
@needs("routing.view")
def promote(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    return _page(request, queries.version_named(slug, number))


def _page(
    request: HttpRequest,
    version: PolicyVersion,
    *,
    problem: DomainError | None = None,
    status: int = 200,
    **forms: Any,
) -> HttpResponse:
    context = {
        "version": version,
        "route": version.route,
        "page": promote_page(version, request.user),
        "waivers": version.waivers.select_related("by"),
        "waive_form": WaiveForm(auto_id="waive_%s"),
        "reason_form": ReasonForm(),
        "problem": problem,
        **forms,
    }
    return render_screen(request, "routing/promote.html", context, status=status)


def _act(
    request: HttpRequest, version: PolicyVersion, act: Callable[[str], str], form: Any = None
) -> HttpResponse:
    form = form or ReasonForm(request.POST)
    if not form.is_valid():
        name = "waive_form" if isinstance(form, WaiveForm) else "reason_form"
        return _page(request, version, status=422, **{name: form})
    try:
        message = act(form.cleaned_data["reason"])
    except (Invalid, Conflict) as problem:
        status = 422 if isinstance(problem, Invalid) else 409
        return _page(request, version, problem=problem, status=status)
    return redirect_303(
        request, reverse("promote", args=[version.route.slug, version.number]), message
    )


def _open(version: PolicyVersion) -> Promotion:
    states = (Promotion.State.PROPOSED, Promotion.State.APPROVED)
    return get_object_or_404(version.promotions.select_related("version__route"), state__in=states)


@require_POST
@needs("routing.promote_policy")
def propose(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    version = queries.version_named(slug, number)

    def act(reason: str) -> str:
        made = proposals.propose_promotion(version=version, by=request.user, reason=reason)
        return f"Proposed; the evidence is frozen. {made.approvals_needed} approvals are needed."

    return _act(request, version, act)


@require_POST
@needs("routing.approve_policy")
def approve(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    version = queries.version_named(slug, number)

    def act(reason: str) -> str:
        proposals.approve_promotion(promotion=_open(version), by=request.user, comment=reason)
        return "Your approval is recorded."

    return _act(request, version, act)


@require_POST
@needs("routing.promote_policy")
def carry_out(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    version = queries.version_named(slug, number)

    def act(reason: str) -> str:
        rollout = proposals.promote(promotion=_open(version), by=request.user, reason=reason)
        return f"The rollout began at {rollout.share} %. Its page shows how it goes."

    return _act(request, version, act)


@require_POST
@needs("routing.promote_policy")
def withdraw(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    version = queries.version_named(slug, number)

    def act(reason: str) -> str:
        proposals.withdraw_promotion(promotion=_open(version), by=request.user, reason=reason)
        return "Withdrawn. Another promotion may be proposed on newer evidence."

    return _act(request, version, act)


@require_POST
@needs("routing.approve_policy")
def waive(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    version = queries.version_named(slug, number)
    form = WaiveForm(request.POST, auto_id="waive_%s")

    def act(reason: str) -> str:
        proposals.waive_check(
            version=version,
            check=form.cleaned_data["check"],
            until=form.cleaned_data["until"],
            by=request.user,
            reason=reason,
        )
        return "Waived. It is shown here for ever, and asks for a second approval."

    return _act(request, version, act, form)
