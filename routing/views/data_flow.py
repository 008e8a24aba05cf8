"""The data-flow document: as it is now, as it was issued, and as a table for others."""

from __future__ import annotations

import csv

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from routing.engine.canonical import digest as digest_of
from routing.queries import data_flow as queries
from routing.queries import data_flow_print
from routing.services import data_flow
from screens.access import needs
from screens.answers import status_of
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import redirect_303, render_screen
from screens.spreadsheets import cells


@require_GET
@needs("routing.view")
def document(request: HttpRequest) -> HttpResponse:
    return _live(request)


def _live(
    request: HttpRequest, *, problem: DomainError | None = None, status: int = 200
) -> HttpResponse:
    current, latest = data_flow.build(), data_flow.latest_issue()
    context = {
        "shown": queries.shown(current),
        "issue": None,
        "latest": latest,
        "since": latest,
        "differences": queries.differences(latest.document, current) if latest else [],
        "issues": queries.issues()[:20],
        "digest": digest_of(current),
        "made_at": timezone.now(),
        "problem": problem,
    }
    return render_screen(request, "routing/data_flow.html", context, status=status)


@require_GET
@needs("routing.view")
def issued(request: HttpRequest, number: int) -> HttpResponse:
    issue = queries.issue_numbered(number)
    before = queries.previous_of(issue)
    context = {
        "shown": queries.shown(issue.document),
        "issue": issue,
        "latest": data_flow.latest_issue(),
        "since": before,
        "differences": queries.differences(before.document, issue.document) if before else [],
        "issues": queries.issues()[:20],
        "digest": issue.digest,
        "made_at": issue.issued_at,
    }
    return render_screen(request, "routing/data_flow.html", context)


@require_POST
@needs("audit.export")
def issue(request: HttpRequest) -> HttpResponse:
    try:
        made = data_flow.issue_document(by=request.user, note=request.POST.get("reason", ""))
    except (Invalid, Conflict) as problem:
        return _live(request, problem=problem, status=status_of(problem))
    return redirect_303(request, made, f"Version {made.number} is issued and frozen.")


@require_GET
@needs("routing.view")
def table(request: HttpRequest) -> HttpResponse:
    """The table as CSV: of the version `?issue=`, else as it is now."""
    number = request.GET.get("issue", "")
    is_issue = number.isascii() and number.isdigit() and len(number) < 9
    content = queries.issue_numbered(int(number)).document if is_issue else data_flow.build()
    name = f"data-flow-{number}" if is_issue else f"data-flow-{timezone.now():%Y%m%dT%H%M%SZ}"
    answer = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )
    writer = csv.writer(answer)
    writer.writerow(queries.CSV_HEAD)
    writer.writerows(cells(row) for row in queries.csv_rows(queries.shown(content)))
    return answer


@require_GET
@needs("routing.view")
def printed(request: HttpRequest) -> HttpResponse:
    """The document as PDF: of the version `?issue=`, else as it is now."""
    number = request.GET.get("issue", "")
    is_issue = number.isascii() and number.isdigit() and len(number) < 9
    issue = queries.issue_numbered(int(number)) if is_issue else None
    content = issue.document if issue else data_flow.build()
    pdf = data_flow_print.as_pdf(
        content,
        issue.digest if issue else digest_of(content),
        at=issue.issued_at if issue else timezone.now(),
        issue=issue,
    )
    name = f"data-flow-{issue.number}" if issue else f"data-flow-{timezone.now():%Y%m%dT%H%M%SZ}"
    answer = HttpResponse(pdf, content_type="application/pdf")
    answer["Content-Disposition"] = f'inline; filename="{name}.pdf"'
    return answer
