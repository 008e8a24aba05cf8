"""The draft editor: one page over all parts, and a form for each. Every save is checked at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from routing.engine.document import parse_policy
from routing.engine.types import PolicyError
from routing.forms.answers import AnswersForm, LimitsForm
from routing.forms.examples import TestForm
from routing.forms.outcomes import OutcomeForm
from routing.forms.sections import FallbacksForm, ThresholdsForm
from routing.models import PolicyVersion
from routing.queries import english
from routing.queries import policies as queries
from routing.services import policies
from routing.services.documents import Document, with_section
from screens.access import needs
from screens.errors import Conflict, NotAllowed
from screens.pages import redirect_303, render_screen

GET_OR_POST = ["GET", "HEAD", "POST"]


def own_draft(request: HttpRequest, slug: str, number: int) -> PolicyVersion:
    """The draft if it still is one and belongs to this person; says so if not."""
    version = queries.version_named(slug, number)
    if version.author_id != request.user.pk:
        raise NotAllowed("Only its author edits a draft.", what_next="Begin a draft of your own.")
    if version.state != PolicyVersion.State.DRAFT:
        raise policies.WrongState(
            f"Version {number} is {version.get_state_display()}, so it does not change any more.",
            what_next="Begin a new draft from it.",
        )
    return version


def revision_of(request: HttpRequest) -> int:
    """The revision that the form was made from; a form without one can never be the newest."""
    text = request.POST.get("revision", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def shown_revision(request: HttpRequest, draft: PolicyVersion) -> int:
    """The revision for the next sending: a page that is shown again keeps the one it began from.

    Otherwise pressing Save a second time would overwrite what another tab has stored.
    """
    return revision_of(request) if request.method == "POST" else draft.revision


def faults_of(document: Document) -> list[Any]:
    """What the language cannot hold. Such a document is never stored, only shown again."""
    try:
        parse_policy(document)
    except PolicyError as error:
        return error.findings
    return []


def draft_url(draft: PolicyVersion, anchor: str = "") -> str:
    return f"{draft.get_absolute_url()}{anchor}"


def save(request: HttpRequest, draft: PolicyVersion, document: Document) -> None:
    """Store the document if the draft is still as the form saw it. Raises Conflict."""
    policies.edit_draft(
        version=draft, document=document, revision=revision_of(request), by=request.user
    )


def conflict_of(draft: PolicyVersion) -> Conflict:
    return Conflict(
        "This draft was saved elsewhere after you opened this form, so nothing was stored.",
        code="draft_changed",
        what_next="What you typed is still below. Open the draft in another tab, compare, and "
        "enter it again there.",
    )


def section_page(
    request: HttpRequest,
    draft: PolicyVersion,
    template: str,
    form: Any,
    context: dict[str, Any] | None = None,
    *,
    built: Callable[[], Document] | None = None,
    message: str,
    anchor: str = "",
) -> HttpResponse:
    """Show a form of one section, or save it: 303, or the same page with 409 or 422."""
    values = {"draft": draft, "route": draft.route, "form": form, **(context or {})}
    values["revision"] = shown_revision(request, draft)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            document = (built or form.built)()
            values["faults"] = faults_of(document)
            if not values["faults"]:
                try:
                    save(request, draft, document)
                except Conflict:
                    values["conflict"], status = conflict_of(draft), 409
                else:
                    return redirect_303(request, draft_url(draft, anchor), message)
    return render_screen(request, template, values, status=status)


@require_http_methods(GET_OR_POST)
@needs("routing.edit_policy")
def default(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    draft = own_draft(request, slug, number)
    stored = draft.document.get("default") or {}
    form = OutcomeForm(
        request.POST or None,
        prefix="then",
        then=stored.get("then"),
        backends=queries.backends(),
        allow_next=False,
    )
    return section_page(
        request,
        draft,
        "routing/draft_default.html",
        form,
        {"words": english.field_words(draft.document, "then", stored.get("then"))},
        built=lambda: with_section(draft.document, "default", {"then": form.outcome()}),
        message="The default is saved.",
        anchor="#default",
    )


@require_http_methods(GET_OR_POST)
@needs("routing.edit_policy")
def thresholds(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    draft = own_draft(request, slug, number)
    form = ThresholdsForm(
        request.POST or None,
        document=draft.document,
        registry=queries.registry_for(draft.document),
    )
    message = "The thresholds are saved."
    return section_page(request, draft, "routing/draft_thresholds.html", form, message=message)


@require_http_methods(GET_OR_POST)
@needs("routing.edit_policy")
def fallbacks(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    draft = own_draft(request, slug, number)
    form = FallbacksForm(request.POST or None, document=draft.document, backends=queries.backends())
    return section_page(
        request,
        draft,
        "routing/draft_fallbacks.html",
        form,
        message="The fallbacks are saved.",
        anchor="#parts",
    )


@require_http_methods(GET_OR_POST)
@needs("routing.edit_policy")
def answers(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    draft = own_draft(request, slug, number)
    form = AnswersForm(
        request.POST or None,
        document=draft.document,
        backends=queries.backends(),
        words=english.failure_words(draft.document),
    )
    return section_page(
        request,
        draft,
        "routing/draft_answers.html",
        form,
        message="The safe default is saved.",
        anchor="#parts",
    )


@require_http_methods(GET_OR_POST)
@needs("routing.edit_policy")
def limits(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    draft = own_draft(request, slug, number)
    form = LimitsForm(request.POST or None, document=draft.document)
    return section_page(
        request,
        draft,
        "routing/draft_limits.html",
        form,
        message="Owner, limits and session are saved.",
        anchor="#parts",
    )


@require_http_methods(GET_OR_POST)
@needs("routing.edit_policy")
def tests(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    draft = own_draft(request, slug, number)
    form = TestForm(
        request.POST or None,
        document=draft.document,
        registry=queries.registry_for(draft.document),
    )
    return section_page(
        request,
        draft,
        "routing/draft_tests.html",
        form,
        {"results": english.test_results(draft.document, draft.route.data_class)},
        message="The test is added.",
        anchor="#tests",
    )


@require_POST
@needs("routing.edit_policy")
def remove_test(request: HttpRequest, slug: str, number: int, place: int) -> HttpResponse:
    draft = own_draft(request, slug, number)
    left = list(draft.document.get("tests") or [])
    if place < len(left):
        del left[place]
        save(request, draft, with_section(draft.document, "tests", left))
    to = reverse("draft-tests", args=[slug, number])
    return redirect_303(request, to, "The test is removed.")
