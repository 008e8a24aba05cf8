"""Decisions as they come, and one of them with everything that led to it."""

from __future__ import annotations

import csv
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from audit import payloads
from audit.actors import Actor
from audit.ids import first_id
from routing.models import Decision, PolicyVersion, SavedFilter
from routing.queries import decisions as queries
from routing.queries.decision import DecisionPage, decision_page
from routing.services import filters as services
from routing.services.replay import Replay, replay
from screens import preferences
from screens.access import may, needs
from screens.answers import status_of
from screens.errors import Conflict, DomainError, Invalid, NotFound
from screens.pages import redirect_303, render_screen
from screens.spreadsheets import cells

STOP_POLLING = 286


@require_GET
@needs("routing.view")
def decision_list(request: HttpRequest) -> HttpResponse:
    return _list(request, queries.Filters.of(request.GET))


def _list(
    request: HttpRequest,
    filters: queries.Filters,
    *,
    problem: DomainError | None = None,
) -> HttpResponse:
    page = queries.page(filters, request.GET.get("before", ""))
    choices = queries.choices()
    context = {
        "filters": filters,
        "chips": filters.chips(dict(choices.clients)),
        "choices": choices,
        "page": page,
        "query": filters.query(),
        "older_url": filters.query(before=str(page.older)) if page.older else "",
        "is_first": "before" not in request.GET,
        # An empty list is not counted from the beginning of time every five seconds.
        "after": page.newest or first_id(timezone.now()),
        "now": timezone.now(),
        "saved": SavedFilter.objects.filter(person_id=request.user.pk),
        "problem": problem,
    }
    status = status_of(problem) if problem else 200
    return render_screen(request, "routing/decisions.html", context, partial="list", status=status)


@require_POST
@needs("routing.view")
def save_filter(request: HttpRequest) -> HttpResponse:
    filters = queries.Filters.of(QueryDict(request.POST.get("query", "").removeprefix("?")))
    try:
        saved = services.save_filter(
            name=request.POST.get("name", ""), filters=filters, by=request.user
        )
    except (Invalid, Conflict) as problem:
        return _list(request, filters, problem=problem)
    answer = redirect_303(request, "decisions", f"Kept as {saved.name}.")
    answer["Location"] += filters.query()
    return answer


@require_POST
@needs("routing.view")
def remove_filter(request: HttpRequest, pk: int) -> HttpResponse:
    name = services.remove_filter(pk=pk, by=request.user)
    return redirect_303(request, "decisions", f"Removed the filter {name}.")


@require_GET
@needs("routing.view")
def new_decisions(request: HttpRequest) -> HttpResponse:
    """How many came since the page was loaded; the list itself never moves under the cursor."""
    if preferences.read(request).live_paused:
        return HttpResponse(status=STOP_POLLING)
    filters = queries.Filters.of(request.GET)
    count = queries.count_new(filters, request.GET.get("after", ""))
    context = {
        "count": count,
        "is_capped": count >= queries.COUNT_NEW_UP_TO,
        "query": filters.query(),
    }
    return render_screen(request, "routing/decisions_new.html", context)


@require_GET
@needs("routing.view")
def decisions_csv(request: HttpRequest) -> HttpResponse:
    """The newest rows of the view, at most CSV_ROWS: a few megabytes, written at once."""
    name = f"decisions-{timezone.now():%Y%m%dT%H%M%SZ}.csv"
    answer = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    rows = queries.csv_rows(queries.Filters.of(request.GET))
    csv.writer(answer).writerows(cells(row) for row in rows)
    return answer


@require_GET
@needs("routing.view")
def decision(request: HttpRequest, decision_id: UUID) -> HttpResponse:
    page = decision_page(decision_id)
    again: Replay | None = None
    problem: Invalid | NotFound | None = None
    if "replay" in request.GET:
        number = request.GET["replay"]
        try:
            again = replay(
                details=page.facts,
                number=int(number) if number.isascii() and number.isdigit() else None,
            )
        except (Invalid, NotFound) as found:
            problem = found
    return render_screen(
        request,
        "routing/decision.html",
        _context(request, page) | {"replay": again, "replay_problem": problem},
        partial="replay",
    )


@require_POST
@needs("routing.view_payload")
def reveal(request: HttpRequest, decision_id: UUID) -> HttpResponse:
    """Show a stored text to a person who may read it; the reading is recorded first."""
    page = decision_page(decision_id)
    wanted = request.POST.get("payload", "")
    kept = {str(payload_id): payload_id for payload_id, _ in page.texts}
    reason = request.POST.get("reason", "").strip()
    context: dict[str, Any] = _context(request, page)
    if wanted not in kept:
        raise NotFound("This text was erased, or was never kept.", code="payload_gone")
    if not reason:
        context["reveal_problem"] = "Give a reason; it is kept in the audit trail."
        return render_screen(request, "routing/decision.html", context, status=422)
    text = payloads.reveal(kept[wanted], by=Actor.of(request.user), reason=reason)
    context["revealed"] = text.decode(errors="replace")
    context["revealed_id"] = wanted
    return render_screen(request, "routing/decision.html", context)


def _context(request: HttpRequest, page: DecisionPage) -> dict[str, Any]:
    facts = page.facts
    own_number = str(facts["policy"]).rpartition("@")[2]
    similar = queries.Filters(client=facts["client"]["id"], rule=page.decision["rule"], period="1h")
    return {
        "page": page,
        "facts": facts,
        "decided": page.decision,
        "ended": page.ended,
        "version_number": int(own_number) if own_number.isdigit() else None,
        "outcome_words": Decision.Outcome(page.outcome).label,
        "similar_query": similar.query(),
        "versions": PolicyVersion.objects.filter(route__slug=facts["route"])
        .exclude(state=PolicyVersion.State.DRAFT)
        .order_by("-number")[:20],
        "may_reveal": may(request.user, "routing.view_payload") and page.texts,
    }
