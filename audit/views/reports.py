"""Reports: ask for one, watch it, cancel it, take its bundle."""

from __future__ import annotations

from uuid import UUID

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from kombu.exceptions import OperationalError

from audit import keys
from audit.actors import Actor
from audit.errors import KeyUnavailable
from audit.forms import ReportForm
from audit.models import Report
from audit.reports import schedule, services
from audit.tasks import make_report
from screens.access import may, needs, require
from screens.errors import Invalid
from screens.pages import page_of, redirect_303, render_screen


@require_http_methods(["GET", "HEAD", "POST"])
@needs("audit.view")
def reports(request: HttpRequest) -> HttpResponse:
    """The list of reports, and the form that asks for another."""
    form = ReportForm(
        request.POST if request.method == "POST" else None, initial=ReportForm.suggestion()
    )
    if form.is_bound:
        require(request.user, "audit.export")
        if form.is_valid():
            return _ask(request, form)
    context = {
        "form": form,
        "page": page_of(Report.objects.all(), request, per_page=25),
        "may_export": may(request.user, "audit.export"),
        "switched": schedule.switched(),
        "is_monthly": schedule.is_on(),
    }
    return render_screen(
        request, "audit/reports.html", context, status=422 if form.is_bound else 200
    )


def _ask(request: HttpRequest, form: ReportForm) -> HttpResponse:
    period_from, period_to = form.period()
    report = services.request_report(
        period_from=period_from,
        period_to=period_to,
        by=Actor.of(request.user),
        reason=form.cleaned_data["reason"],
        seed=form.cleaned_data["seed"],
    )
    try:
        make_report.delay(str(report.pk))
    except OperationalError:
        services.could_not_start(report=report)
    return redirect_303(request, report)


@require_GET
@needs("audit.view")
def report(request: HttpRequest, report_id: UUID) -> HttpResponse:
    """One report; its progress is a fragment that asks again until the work has ended."""
    found = get_object_or_404(Report, pk=report_id)
    try:
        verifier = str(keys.signer().verifier)
    except KeyUnavailable:
        verifier = ""
    context = {
        "report": found,
        "verifier": verifier,
        "may_export": may(request.user, "audit.export"),
    }
    return render_screen(request, "audit/report.html", context, partial="state")


@require_GET
@needs("audit.export")
def report_bundle(request: HttpRequest, report_id: UUID) -> HttpResponseBase:
    """The signed ZIP. Taking it is recorded."""
    found = get_object_or_404(Report, pk=report_id)
    path = services.download_report(report=found, by=Actor.of(request.user))
    name = f"signalbox-{found.period_from:%Y%m%d}-{found.period_to:%Y%m%d}.zip"
    return FileResponse(
        path.open("rb"), as_attachment=True, filename=name, content_type="application/zip"
    )


@require_POST
@needs("audit.export")
def report_cancel(request: HttpRequest, report_id: UUID) -> HttpResponse:
    """Stop a report that is not wanted any more."""
    found = get_object_or_404(Report, pk=report_id)
    services.cancel_report(
        report=found, by=Actor.of(request.user), reason=request.POST.get("reason", "")[:300]
    )
    return redirect_303(request, found, "The report was cancelled.")


@require_POST
@needs("audit.export")
def report_schedule(request: HttpRequest) -> HttpResponse:
    """Switch the monthly report on or off."""
    is_on = request.POST.get("monthly") == "on"
    reason = request.POST.get("reason", "").strip()[:300]
    if not reason:
        raise Invalid("Say why; it is kept in the trail.", code="reason_missing")
    schedule.switch_monthly(on=is_on, by=Actor.of(request.user), reason=reason)
    said = "A report of each month will be made once it is over." if is_on else "No more are made."
    return redirect_303(request, "reports", said)
