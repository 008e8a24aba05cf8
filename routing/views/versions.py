"""One policy version: what it says and changes, the verdicts on it, and the acts of its life."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from routing.forms.documents import (
    ReasonForm,
    ScheduleForm,
    SimulateForm,
    SubmitForm,
    VerdictForm,
)
from routing.models import PolicyVersion
from routing.queries import english
from routing.queries import policies as queries
from routing.queries.differences import yaml_lines
from routing.queries.idle_rules import idle_rules
from routing.queries.meaning import conflict_words, meaning_page
from routing.queries.routes import acknowledgements, hits_of_rules
from routing.services import policies
from routing.services.interchange import to_yaml
from routing.services.meaning import meaning_of, reasons_shown
from routing.services.simulation import EXAMPLES
from screens.access import needs
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import redirect_303, render_screen


@require_GET
@needs("routing.view")
def version(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The editor for the author of a draft, the record of the version for everyone else."""
    return version_page(request, queries.version_named(slug, number))


def version_page(
    request: HttpRequest,
    one: PolicyVersion,
    *,
    problem: DomainError | None = None,
    status: int = 200,
    **forms: Any,
) -> HttpResponse:
    active = policies.active_version(one.route)
    may_do = queries.possible(one, active, request.user)
    findings = queries.shown_findings(one, editing=may_do.edit)
    words = english.policy_words(one.document)
    base, found = one.base, meaning_of(one)
    context: dict[str, Any] = {
        "version": one,
        "draft": one,
        "route": one.route,
        "active": active,
        "may_do": may_do,
        "steps": queries.steps_of(one),
        "english": words,
        "proofs": english.proofs(words, [shown.finding for shown in findings]),
        "tests": english.test_results(one.document, one.route.data_class),
        "findings": findings,
        "blocking": sum(shown.finding.blocking for shown in findings),
        "unready": sum(shown.finding.blocks_activation for shown in findings),
        "changes": queries.base_changes(one),
        "lines": yaml_lines(base.document, one.document) if base else [],
        "hits": hits_of_rules(one.route),
        "idle": idle_rules(one.route, one.document) if one.state in ("draft", "active") else None,
        "approved_by": sum(a.verdict == "approve" for a in one.approvals.all()),
        "meaning": meaning_page(one, found),
        "reasons": reasons_shown(one, found),
        "conflicts": conflict_words(one),
        "acknowledged": acknowledgements(),
        "approvers": queries.approvers_for(one) if one.state == "in_review" else [],
        "simulate_form": SimulateForm(initial={"data_class": one.route.data_class}),
        "examples": EXAMPLES,
        "problem": problem,
        "submit_form": SubmitForm(initial={"summary": one.summary}),
        "verdict_form": VerdictForm(),
        "reason_form": ReasonForm(),
        "schedule_form": ScheduleForm(auto_id="schedule_%s"),
        **forms,
    }
    template = "routing/draft.html" if may_do.edit else "routing/version.html"
    return render_screen(request, template, context, status=status)


def act_on(
    request: HttpRequest,
    one: PolicyVersion,
    form_name: str,
    form: Any,
    act: Callable[[dict[str, Any]], str],
) -> HttpResponse:
    """Do it and go back to the version, or show the version again with what stood against it."""
    if not form.is_valid():
        return version_page(request, one, status=422, **{form_name: form})
    try:
        message = act(form.cleaned_data)
    except (Invalid, Conflict) as problem:
        fresh = queries.version_named(one.route.slug, one.number)
        status = 422 if isinstance(problem, Invalid) else 409
        return version_page(request, fresh, problem=problem, status=status, **{form_name: form})
    return redirect_303(request, one, message)


@require_POST
@needs("routing.edit_policy")
def submit(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    one = queries.version_named(slug, number)

    def act(given: dict[str, Any]) -> str:
        policies.submit_version(version=one, by=request.user, summary=given["summary"])
        return "Submitted. The version is frozen; somebody else has to approve it."

    return act_on(request, one, "submit_form", SubmitForm(request.POST), act)


@require_POST
@needs("routing.approve_policy")
def judge(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    one = queries.version_named(slug, number)

    def act(given: dict[str, Any]) -> str:
        judged = policies.judge_version(
            version=one, by=request.user, verdict=given["verdict"], comment=given["comment"]
        )
        return f"Your verdict is recorded. The version is {judged.get_state_display()}."

    return act_on(request, one, "verdict_form", VerdictForm(request.POST), act)


@require_POST
@needs("routing.activate_policy")
def activate(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    one = queries.version_named(slug, number)

    def act(given: dict[str, Any]) -> str:
        policies.activate_version(version=one, by=request.user, reason=given["reason"])
        return "Activated. Replicas load it within seconds; the route's page shows which have."

    return act_on(request, one, "reason_form", ReasonForm(request.POST), act)


@require_POST
@needs("routing.edit_policy")
def withdraw(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    one = queries.version_named(slug, number)

    def act(given: dict[str, Any]) -> str:
        policies.withdraw_version(version=one, by=request.user, reason=given["reason"])
        return "Withdrawn. It stays in the record and can be the start of a new draft."

    return act_on(request, one, "reason_form", ReasonForm(request.POST), act)


@require_GET
@needs("routing.view")
def export(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The document as YAML. Reading it back gives the digest of its first line."""
    one = queries.version_named(slug, number)
    head = f"# {one}, {one.get_state_display()}, {one.digest}\n"
    answer = HttpResponse(head + to_yaml(one.document), content_type="application/yaml")
    answer["Content-Disposition"] = f'attachment; filename="{slug}-{number}.yaml"'
    return answer
