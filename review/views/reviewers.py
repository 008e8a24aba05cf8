"""The reviewers: what each may take, and a form for it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from accounts.models import User
from review.forms import ReviewerForm
from review.queries import reviewers as queries
from review.services import reviewers
from screens.access import may, needs, require
from screens.answers import status_of
from screens.errors import DomainError
from screens.pages import redirect_303, render_screen


def _may_change(user: User) -> bool:
    return may(user, "review.lead") or may(user, "accounts.manage_people")


@require_GET
@needs()
def people(request: HttpRequest) -> HttpResponse:
    _require_sight(request)
    context = {"reviewers": queries.everyone(), "may_change": _may_change(request.user)}
    return render_screen(request, "review/reviewers.html", context)


@require_http_methods(["GET", "POST"])
@needs()
def person(request: HttpRequest, pk: int) -> HttpResponse:
    _require_sight(request)
    found = queries.one(get_object_or_404(User, pk=pk).username)
    seen = {
        "clearance": found.clearance,
        "queues": ", ".join(found.queues),
        "version": found.version,
    }
    form = ReviewerForm(request.POST if request.method == "POST" else None, initial=seen)
    problem, status = None, 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            given = form.cleaned_data
            try:
                reviewers.change_reviewer(
                    person=found.person,
                    queues=form.names(),
                    clearance=given["clearance"],
                    version=given["version"],
                    by=request.user,
                    reason=given["reason"],
                )
            except DomainError as refused:
                problem, status = refused, status_of(refused)
            else:
                said = f"What {found.person} may review was changed."
                return redirect_303(request, reverse("reviewers"), said)
    context = {
        "reviewer": found,
        "form": form,
        "problem": problem,
        "queues": queries.known_queues(),
        "may_change": _may_change(request.user) and request.user.pk != found.person.pk,
    }
    return render_screen(request, "review/reviewer.html", context, status=status)


def _require_sight(request: HttpRequest) -> None:
    """Whoever sees the queue, and administrators, who look after people."""
    if not may(request.user, "accounts.manage_people"):
        require(request.user, "review.view")
