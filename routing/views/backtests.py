"""Backtests of a version: start one, watch it, and open the decisions behind its numbers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from kombu.exceptions import OperationalError

from routing.forms.backtests import BacktestForm
from routing.models import Backtest
from routing.queries import backtests as queries
from routing.queries.policies import version_named
from routing.services import backtests
from routing.tasks import run_backtest
from screens.access import may, needs
from screens.errors import Conflict, Invalid
from screens.pages import page_of, redirect_303, render_screen


def _may_run(request: HttpRequest) -> bool:
    return may(request.user, "routing.edit_policy") or may(request.user, "routing.approve_policy")


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.view")
def runs(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The runs of a version and the form for another; the service says who may start one."""
    version = version_named(slug, number)
    windows = queries.windows(version)
    form = BacktestForm(
        request.POST if request.method == "POST" else None,
        windows=windows,
        initial={"days": "14"},
    )
    context: dict[str, Any] = {"version": version, "route": version.route, "form": form}
    status = 200
    if form.is_bound and form.is_valid():
        try:
            found = backtests.request_backtest(version=version, by=request.user, **form.asked())
            return _start(request, found)
        except (Invalid, Conflict) as problem:
            context["problem"] = problem
            status = 422 if isinstance(problem, Invalid) else 409
    elif form.is_bound:
        status = 422
    context["page"] = page_of(queries.runs_of(version), request, per_page=20)
    context["may_run"] = _may_run(request)
    return render_screen(request, "routing/backtests.html", context, status=status)


def _start(request: HttpRequest, found: Backtest) -> HttpResponse:
    try:
        run_backtest.delay(str(found.pk))
    except OperationalError:
        backtests.fail_backtest(backtest=found, problem="The job queue does not answer.")
    return redirect_303(request, found)


@require_GET
@needs("routing.view")
def run(request: HttpRequest, slug: str, number: int, backtest_id: UUID) -> HttpResponse:
    """One run: its progress as a fragment that asks again, then what it found."""
    version = version_named(slug, number)
    found = queries.backtest_of(version, backtest_id)
    context = {
        "version": version,
        "route": version.route,
        "backtest": found,
        "page": queries.run_page(found),
        "may_run": _may_run(request),
    }
    return render_screen(request, "routing/backtest.html", context, partial="result")


@require_POST
@needs("routing.view")
def cancel(request: HttpRequest, slug: str, number: int, backtest_id: UUID) -> HttpResponse:
    found = queries.backtest_of(version_named(slug, number), backtest_id)
    backtests.cancel_backtest(
        backtest=found, by=request.user, reason=request.POST.get("reason", "")
    )
    return redirect_303(request, found, "The backtest was cancelled.")


@require_POST
@needs("routing.view")
def acknowledge(request: HttpRequest, slug: str, number: int, backtest_id: UUID) -> HttpResponse:
    """Take note of crossed guardrails; the service says who may."""
    found = queries.backtest_of(version_named(slug, number), backtest_id)
    backtests.acknowledge_guardrails(
        backtest=found, by=request.user, reason=request.POST.get("reason", "")
    )
    return redirect_303(request, found, "It is recorded that you took note, and why.")


@require_GET
@needs("routing.view")
def bucket(
    request: HttpRequest, slug: str, number: int, backtest_id: UUID, bucket: str
) -> HttpResponse:
    """The real decisions of one group, the gravest first."""
    version = version_named(slug, number)
    found = queries.backtest_of(version, backtest_id)
    heading, lines = queries.changes_of(found, bucket)
    context = {
        "version": version,
        "backtest": found,
        "heading": heading,
        "count": found.counts.get(bucket),
        "page": page_of(lines, request),
    }
    return render_screen(request, "routing/backtest_bucket.html", context)


@require_GET
@needs("routing.view")
def decision(
    request: HttpRequest, slug: str, number: int, backtest_id: UUID, decision_id: UUID
) -> HttpResponse:
    """One decision with both traces side by side."""
    version = version_named(slug, number)
    found = queries.backtest_of(version, backtest_id)
    context = {
        "version": version,
        "backtest": found,
        "compared": queries.compared(found, decision_id),
    }
    return render_screen(request, "routing/backtest_decision.html", context)
