"""The reviewers: what each may take, and a form for it."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import User
from review.forms import LiftForm, ReviewerForm
from review.models import Reviewer, ReviewerPause
from review.queries import measures
from review.queries import reviewers as queries
from review.queries.pace import open_pause, open_pauses
from review.services import pace, reviewers
from screens.access import may, needs, require
from screens.answers import status_of
from screens.errors import DomainError
from screens.pages import redirect_303, render_screen


def _may_change(user: User) -> bool:
    return may(user, "review.lead") or may(user, "accounts.manage_people")


_DAYS = (7, 30, 90)


class ReviewerRow(NamedTuple):
    """``measure`` is None where nothing was decided, or is not this viewer's to see."""

    reviewer: Reviewer
    pause: ReviewerPause | None
    measure: measures.Measure | None


def _sees_all(user: User) -> bool:
    """Leads see everybody's figures; whoever reviews sees their own."""
    return may(user, "review.lead")


def _days(request: HttpRequest) -> int:
    wanted = request.GET.get("days", "")
    return int(wanted) if wanted in {str(one) for one in _DAYS} else 30


@require_GET
@needs()
def people(request: HttpRequest) -> HttpResponse:
    _require_sight(request)
    days = _days(request)
    found = measures.measured(since=timezone.now() - timedelta(days=days), until=timezone.now())
    pauses, sees_all = open_pauses(), _sees_all(request.user)
    rows = [
        ReviewerRow(
            reviewer=one,
            pause=pauses.get(one.person.pk),
            measure=found.of(one.person).get(measures.EVERY_RULE)
            if sees_all or one.person.pk == request.user.pk
            else None,
        )
        for one in queries.everyone()
    ]
    context = {
        "rows": rows,
        "days": days,
        "choices": _DAYS,
        "sees_all": sees_all,
        "is_cut": found.is_cut,
        "most": measures.MOST_VERDICTS,
        "dwell_percent": settings.REVIEW_DWELL_PERCENT,
    }
    return render_screen(request, "review/reviewers.html", context)


@require_POST
@needs("review.lead")
def lift(request: HttpRequest, pk: int) -> HttpResponse:
    found = queries.one(get_object_or_404(User, pk=pk).username)
    form = LiftForm(request.POST)
    if not form.is_valid():
        return _person(request, found, ReviewerForm(initial=_seen(found)), None, 422, form)
    try:
        pace.lift_pause(person=found.person, by=request.user, reason=form.cleaned_data["reason"])
    except DomainError as refused:
        fresh = ReviewerForm(initial=_seen(found))
        return _person(request, found, fresh, refused, status_of(refused), form)
    return redirect_303(request, reverse("reviewers"), f"{found.person} can claim cases again.")


def _seen(found: Reviewer) -> dict[str, object]:
    return {
        "clearance": found.clearance,
        "queues": ", ".join(found.queues),
        "version": found.version,
    }


@require_http_methods(["GET", "POST"])
@needs()
def person(request: HttpRequest, pk: int) -> HttpResponse:
    _require_sight(request)
    found = queries.one(get_object_or_404(User, pk=pk).username)
    form = ReviewerForm(request.POST if request.method == "POST" else None, initial=_seen(found))
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
    return _person(request, found, form, problem, status, None)


def _person(
    request: HttpRequest,
    found: Reviewer,
    form: ReviewerForm,
    problem: DomainError | None,
    status: int,
    lift_form: LiftForm | None,
) -> HttpResponse:
    days = _days(request)
    is_shown = _sees_all(request.user) or found.person.pk == request.user.pk
    now = timezone.now()
    by_rule = (
        measures.measured(since=now - timedelta(days=days), until=now).of(found.person)
        if is_shown
        else {}
    )
    pause = open_pause(found.person)
    context = {
        "measure": by_rule.pop(measures.EVERY_RULE, None),
        "by_rule": by_rule,
        "days": days,
        "choices": _DAYS,
        "is_shown": is_shown,
        "pause": pause,
        "may_lift": pause is not None
        and may(request.user, "review.lead")
        and request.user.pk != found.person.pk,
        "lift_form": lift_form or LiftForm(),
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
