"""One case: looked at, claimed, read, decided, or given back."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from review import tasks
from review.forms import ReasonForm, ReleaseForm, ReplayForm, VerdictForm
from review.models import Case, CaseVerdict
from review.queries import cases as queries
from review.services import cases, claims, replays, verdicts
from review.views.screen import place_of, show
from screens.access import needs
from screens.answers import status_of
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import redirect_303

_SAID = {
    "approve": "Approved. The client gets the draft as it stands.",
    "choose": "The client gets the answer that you chose.",
    "edit": "Approved with your edit. The client gets your answer.",
    "safe_default": "The client gets the safe default.",
    "refuse": "Refused. The client is told that a person refused it.",
}

_NOT_YET = {
    Case.Stage.SECOND: "Your verdict is kept. The client gets its answer after a second look.",
    Case.Stage.ADJUDICATION: "You and the first reviewer differ; a lead settles it.",
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
        claims.claim_case(case=wanted, by=request.user)
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
        claims.release_case(case=held, by=request.user, reason=reason)
    except DomainError as problem:
        return show(request, case_id, problem=problem, status=status_of(problem))
    return redirect_303(request, place_of(request, held), "The case waits in the queue again.")


@require_POST
@needs("review.decide")
def extend(request: HttpRequest, case_id: UUID) -> HttpResponse:
    held = cases.get_case(case_id)
    try:
        claims.extend_lease(case=held, by=request.user)
    except DomainError as problem:
        return show(request, case_id, problem=problem, status=status_of(problem))
    return redirect_303(request, place_of(request, held), "Your claim was extended.")


@require_POST
@needs("review.decide")
def heartbeat(request: HttpRequest, case_id: UUID) -> HttpResponse:
    """The page says once a minute that it is open; the lease is not touched by it."""
    claims.beat(case=cases.get_case(case_id), by=request.user)
    return HttpResponse(status=204)


@require_POST
@needs("review.decide")
def escalate(request: HttpRequest, case_id: UUID) -> HttpResponse:
    held, form = cases.get_case(case_id), ReasonForm(request.POST, act="escalate")
    form.is_valid()
    given = {name: form.cleaned_data.get(name, "") for name in ("reason_code", "reason")}
    try:
        claims.escalate_case(case=held, by=request.user, **given)
    except DomainError as problem:
        return show(request, case_id, problem=problem, status=status_of(problem))
    return redirect_303(request, place_of(request, None), "The case is with the lead reviewers.")


@require_POST
@needs("review.decide")
def replay(request: HttpRequest, case_id: UUID) -> HttpResponse:
    held, form = cases.get_case(case_id), ReplayForm(request.POST)
    form.is_valid()
    given = {n: form.cleaned_data.get(n, "") for n in ("backend", "reason_code", "reason")}
    try:
        candidate = replays.request_replay(case=held, by=request.user, **given)
    except DomainError as problem:
        return show(request, case_id, problem=problem, status=status_of(problem))
    tasks.replay.delay(candidate.pk)
    said = f"{candidate.backend} was asked; the case comes back to the queue with its answer."
    return redirect_303(request, place_of(request, held), said)


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
        decided = verdicts.decide_case(case=held, by=request.user, kind=kind, **form.cleaned_data)
    except (Conflict, Invalid) as problem:
        return _again(request, held, form, problem)
    following = queries.next_case(person=request.user, now=timezone.now(), after=held.pk)
    said = _SAID[kind] if decided.has_ended else _NOT_YET[decided.stage]
    what_next = "" if following else " Nothing else waits."
    return redirect_303(request, place_of(request, following), said + what_next)


def _texts(request: HttpRequest, held: Case) -> dict[str, object] | None:
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
