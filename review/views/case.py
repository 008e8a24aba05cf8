"""One case: looked at, claimed, read, decided, or given back."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from review import queries
from review.forms import ReleaseForm, VerdictForm
from review.models import Case, CaseVerdict
from review.services import cases
from review.views.screen import place_of, show
from screens.access import needs
from screens.answers import status_of
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import redirect_303

_SAID = {
    "approve": "Approved. The client gets the draft as it stands.",
    "edit": "Approved with your edit. The client gets your answer.",
    "safe_default": "The client gets the safe default.",
    "refuse": "Refused. The client is told that a person refused it.",
}


@require_GET
@needs("review.view")
def case(request: HttpRequest, case_id: UUID) -> HttpResponse:
    return show(request, case_id)


@require_POST
@needs("review.decide")
def claim(request: HttpRequest, case_id: UUID) -> HttpResponse:
    wanted = cases.get_case(case_id)
    try:
        cases.claim_case(case=wanted, by=request.user)
    except DomainError as problem:
        return show(request, case_id, problem=problem, status=status_of(problem))
    return redirect_303(request, place_of(request, wanted), "The case is yours for 10 minutes.")


@require_POST
@needs("review.decide")
def release(request: HttpRequest, case_id: UUID) -> HttpResponse:
    held = cases.get_case(case_id)
    form = ReleaseForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    try:
        cases.release_case(case=held, by=request.user, reason=reason)
    except DomainError as problem:
        return show(request, case_id, problem=problem, status=status_of(problem))
    return redirect_303(request, place_of(request, held), "The case waits in the queue again.")


@require_POST
@needs("review.decide")
def extend(request: HttpRequest, case_id: UUID) -> HttpResponse:
    held = cases.get_case(case_id)
    try:
        cases.extend_lease(case=held, by=request.user)
    except DomainError as problem:
        return show(request, case_id, problem=problem, status=status_of(problem))
    return redirect_303(request, place_of(request, held), "Your claim was extended.")


@require_POST
@needs("review.decide")
def reveal(request: HttpRequest, case_id: UUID) -> HttpResponse:
    """Answers with the text itself: behind a redirect it could be had again without a record."""
    try:
        texts = cases.reveal_payloads(case=cases.get_case(case_id), by=request.user)
    except Conflict as problem:
        return show(request, case_id, problem=problem, status=status_of(problem))
    return show(request, case_id, texts=texts)


@require_POST
@needs("review.decide")
def decide(request: HttpRequest, case_id: UUID) -> HttpResponse:
    kind = request.POST.get("kind", "")
    if kind not in CaseVerdict.Kind.values:
        raise Invalid("Choose what the client gets.", code="unknown_verdict")
    held, form = cases.get_case(case_id), VerdictForm(request.POST, kind=kind)
    if "compare" in request.POST and kind == CaseVerdict.Kind.EDIT:
        return _compare(request, held, form)
    if not form.is_valid():
        return _again(request, held, form, None)
    try:
        cases.decide_case(case=held, by=request.user, kind=kind, **form.cleaned_data)
    except (Conflict, Invalid) as problem:
        return _again(request, held, form, problem)
    following = queries.next_case(person=request.user, now=timezone.now(), after=held.pk)
    what_next = "" if following else " Nothing else waits."
    return redirect_303(request, place_of(request, following), _SAID[kind] + what_next)


def _texts(request: HttpRequest, held: Case) -> dict[str, str] | None:
    """The texts again beside a form that was not accepted; this reading is recorded too."""
    if "was_shown" not in request.POST:
        return None
    try:
        return cases.reveal_payloads(case=cases.get_case(held.pk), by=request.user)
    except Conflict:
        return None


def _again(
    request: HttpRequest, held: Case, form: VerdictForm, problem: DomainError | None
) -> HttpResponse:
    texts = _texts(request, held)
    status = status_of(problem) if problem else 422
    return show(request, held.pk, texts=texts, bound=form, problem=problem, status=status)


def _compare(request: HttpRequest, held: Case, form: VerdictForm) -> HttpResponse:
    texts = _texts(request, held)
    form.is_valid()
    is_comparable = bool(texts) and "answer" in form.cleaned_data
    # Comparing is no decision: what is still missing for one is not an error yet.
    for name in ("reason_code", "reason"):
        form.errors.pop(name, None)
    return show(request, held.pk, texts=texts, bound=form, compared=is_comparable)
