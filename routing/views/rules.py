"""The rules of a draft: add, edit, reorder, switch off, remove. The order decides."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods, require_POST

from routing.forms.rules import RuleEditor
from routing.models import PolicyVersion
from routing.queries import english
from routing.queries import policies as queries
from routing.services.documents import (
    Document,
    place_of,
    rule_of,
    rules_of,
    with_rule,
    with_rule_enabled,
    with_rule_moved,
    without_rule,
)
from routing.views.drafts import (
    GET_OR_POST,
    conflict_of,
    draft_url,
    faults_of,
    own_draft,
    save,
    shown_revision,
)
from screens.access import needs
from screens.errors import Conflict
from screens.pages import redirect_303, render_screen


@require_http_methods(GET_OR_POST)
@needs("routing.edit_policy")
def add_rule(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    draft = own_draft(request, slug, number)
    return _rule_page(request, draft, None)


@require_http_methods(GET_OR_POST)
@needs("routing.edit_policy")
def edit_rule(request: HttpRequest, slug: str, number: int, rule_id: str) -> HttpResponse:
    draft = own_draft(request, slug, number)
    return _rule_page(request, draft, rule_of(draft.document, rule_id))


def _rule_page(
    request: HttpRequest, draft: PolicyVersion, rule: dict[str, Any] | None
) -> HttpResponse:
    registry = queries.registry_for(draft.document)
    own_id = str(rule["id"]) if rule else None
    others = [str(one.get("id")) for one in rules_of(draft.document) if one.get("id") != own_id]
    editor = RuleEditor(
        rule=rule,
        registry=registry,
        backends=queries.backends(),
        taken=others,
        sent=request.POST if request.method == "POST" else None,
    )
    context: dict[str, Any] = {
        "draft": draft,
        "revision": shown_revision(request, draft),
        "route": draft.route,
        "rule": rule,
        "place": place_of(draft.document, own_id) + 1
        if own_id
        else len(rules_of(draft.document)) + 1,
        "editor": editor,
        "rows": english.condition_rows(editor.conditions),
        "signals": english.signal_choices(registry),
        "english": english.rule_words(draft.document, rule) if rule else None,
    }
    status = 200
    if request.method == "POST" and editor.is_saving:
        answer, status = _save_rule(request, draft, editor, own_id, context)
        if answer is not None:
            return answer
        context["rows"] = english.condition_rows(editor.conditions)
    # Saving answers with the whole page: its errors may stand anywhere in it.
    partial = None if editor.is_saving else "conditions"
    return render_screen(
        request, "routing/draft_rule.html", context, partial=partial, status=status
    )


def _save_rule(
    request: HttpRequest,
    draft: PolicyVersion,
    editor: RuleEditor,
    own_id: str | None,
    context: dict[str, Any],
) -> tuple[HttpResponse | None, int]:
    if not editor.is_valid():
        return None, 422
    made = editor.built()
    document = with_rule(draft.document, made, replaces=own_id)
    context["faults"] = faults_of(document)
    if context["faults"]:
        return None, 422
    try:
        save(request, draft, document)
    except Conflict:
        context["conflict"] = conflict_of(draft)
        return None, 409
    to = draft_url(draft, f"#rule-{made['id']}")
    return redirect_303(request, to, f"Rule “{made.get('name') or made['id']}” is saved."), 303


def _change(
    request: HttpRequest, draft: PolicyVersion, document: Document, anchor: str, message: str
) -> HttpResponse:
    save(request, draft, document)
    return redirect_303(request, draft_url(draft, anchor), message)


@require_POST
@needs("routing.edit_policy")
def move_rule(request: HttpRequest, slug: str, number: int, rule_id: str) -> HttpResponse:
    draft = own_draft(request, slug, number)
    step = -1 if request.POST.get("to") == "up" else 1
    document = with_rule_moved(draft.document, rule_id, by=step)
    place = place_of(document, rule_id) + 1
    return _change(
        request, draft, document, f"#rule-{rule_id}", f"“{rule_id}” is now rule {place}."
    )


@require_POST
@needs("routing.edit_policy")
def switch_rule(request: HttpRequest, slug: str, number: int, rule_id: str) -> HttpResponse:
    draft = own_draft(request, slug, number)
    enabled = request.POST.get("enabled") == "yes"
    document = with_rule_enabled(draft.document, rule_id, enabled=enabled)
    state = "in force again" if enabled else "switched off"
    return _change(request, draft, document, f"#rule-{rule_id}", f"“{rule_id}” is {state}.")


@require_POST
@needs("routing.edit_policy")
def remove_rule(request: HttpRequest, slug: str, number: int, rule_id: str) -> HttpResponse:
    draft = own_draft(request, slug, number)
    document = without_rule(draft.document, rule_id)
    return _change(request, draft, document, "#rules", f"“{rule_id}” is removed from the draft.")
