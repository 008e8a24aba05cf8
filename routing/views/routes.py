"""Routes: the list, one route with its policy and figures, and the ways into a new version."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from routing.engine.document import parse_policy
from routing.engine.types import PolicyError
from routing.forms.documents import ImportForm
from routing.queries import budgets, english
from routing.queries import routes as queries
from routing.queries.idle_rules import idle_rules
from routing.services import policies
from screens.access import needs
from screens.charts import flow_picture
from screens.errors import DomainError, Invalid
from screens.pages import redirect_303, render_screen


@require_GET
@needs("routing.view")
def route_list(request: HttpRequest) -> HttpResponse:
    return render_screen(request, "routing/routes.html", {"lines": queries.all_routes()})


@require_GET
@needs("routing.view")
def route(request: HttpRequest, slug: str) -> HttpResponse:
    return _route_page(request, slug)


def _route_page(
    request: HttpRequest, slug: str, *, problem: DomainError | None = None, status: int = 200
) -> HttpResponse:
    one = queries.route_named(slug)
    active = policies.active_version(one)
    chosen = request.GET.get("period", "day")
    period = chosen if chosen in queries.PERIODS else "day"
    words, length = queries.PERIODS[period]
    document = active.document if active else None
    figures = queries.flow_figures(one, document, timezone.now() - length)
    versions = queries.versions_of(one)
    revision, replicas = queries.acknowledgements()
    context: dict[str, Any] = {
        "route": one,
        "active": active,
        "english": english.policy_words(active.document) if active else None,
        "hits": queries.hits_of_rules(one),
        "idle": idle_rules(one, active.document) if active else None,
        "flow": flow_picture(figures),
        "period": period,
        "period_words": words,
        "periods": queries.PERIODS,
        "versions": versions,
        "own_draft": next(
            (v for v in versions if v.state == "draft" and v.author_id == request.user.pk), None
        ),
        "rollback_to": queries.was_active(versions),
        "revision": revision,
        "replicas": replicas,
        "switches": queries.engaged_switches(one),
        "standing": budgets.standing_of_route(one.slug),
        "problem": problem,
        "typed_reason": request.POST.get("reason", ""),
    }
    return render_screen(request, "routing/route.html", context, status=status)


@require_POST
@needs("routing.edit_policy")
def start_draft(request: HttpRequest, slug: str) -> HttpResponse:
    number = request.POST.get("from", "")
    draft = policies.start_draft(
        slug=slug, by=request.user, base_number=int(number) if number.isdigit() else None
    )
    return redirect(draft)


@require_POST
@needs("routing.activate_policy")
def roll_back(request: HttpRequest, slug: str) -> HttpResponse:
    number = request.POST.get("to", "")
    try:
        if not number.isdigit():
            raise Invalid("Choose the version to go back to.")
        version = policies.roll_back(
            slug=slug,
            to_number=int(number),
            by=request.user,
            reason=request.POST.get("reason", ""),
        )
    except Invalid as problem:
        return _route_page(request, slug, problem=problem, status=422)
    message = f"Rolled back: version {version.number} is active again."
    return redirect_303(request, version.route, message)


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.edit_policy")
def import_draft(request: HttpRequest, slug: str) -> HttpResponse:
    one = queries.route_named(slug)
    existing = one.versions.filter(author=request.user.pk, state="draft").first()
    if request.method != "POST":
        context = {"route": one, "form": ImportForm(), "existing": existing}
        return render_screen(request, "routing/draft_import.html", context)
    form = ImportForm(request.POST, request.FILES)
    findings = []
    if form.is_valid():
        document = form.cleaned_data["document"]
        findings = _reasons_against(document, slug)
        if not findings:
            return _take_in(request, slug, existing, document)
    context = {"route": one, "form": form, "existing": existing, "findings": findings}
    return render_screen(request, "routing/draft_import.html", context, status=422)


def _reasons_against(document: dict[str, Any], slug: str) -> list[Any]:
    """Why this document cannot be a draft of this route; warnings do not keep it out."""
    try:
        policy = parse_policy(document)
    except PolicyError as error:
        return error.findings
    if policy.route != slug:
        words = f"is the document of the route {policy.route!r}, and this route is {slug!r}"
        return [{"path": "route", "message": words}]
    return []


def _take_in(
    request: HttpRequest, slug: str, existing: Any, document: dict[str, Any]
) -> HttpResponse:
    if existing is None:
        draft = policies.start_draft(slug=slug, by=request.user, document=document)
    else:
        draft = policies.edit_draft(
            version=existing, document=document, revision=existing.revision, by=request.user
        )
    message = f"The document is now draft {draft.number}, digest {draft.digest[7:15]}."
    return redirect_303(request, draft, message)
