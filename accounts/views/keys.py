"""API keys: who calls the router, with which rights, until when."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import neighbours, queries
from accounts.forms import KeyForm, RotateForm
from accounts.models import ApiKey
from accounts.services import keys as services
from screens.access import needs
from screens.answers import status_of
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import page_of, redirect_303, render_screen


@require_GET
@needs("accounts.view")
def key_list(request: HttpRequest) -> HttpResponse:
    state = request.GET.get("state", "usable")
    state = state if state in queries.KEY_STATES else "usable"
    page = page_of(queries.keys_in(state), request)
    context = {
        "page": page,
        "rows": queries.key_rows(page.items),
        "state": state,
        "states": queries.KEY_STATES,
    }
    return render_screen(request, "accounts/keys.html", context, partial="list")


@require_http_methods(["GET", "HEAD", "POST"])
@needs("accounts.manage_keys")
def new_key(request: HttpRequest) -> HttpResponse:
    form = KeyForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                key, text = services.create_key(by=request.user, **form.facts())
            except (Invalid, Conflict) as problem:
                form.add_error(None, problem.message)
                status = status_of(problem)
            else:
                return _shown_once(request, key, text)
    return render_screen(request, "accounts/key_form.html", {"form": form}, status=status)


@require_GET
@needs("accounts.view")
def key_page(request: HttpRequest, public_id: str) -> HttpResponse:
    return _key_page(request, queries.key_named(public_id))


@require_POST
@needs("accounts.manage_keys")
def rotate(request: HttpRequest, public_id: str) -> HttpResponse:
    key = queries.key_named(public_id)
    form = RotateForm(request.POST)
    if not form.is_valid():
        return _key_page(request, key, rotate_form=form, status=422)
    try:
        successor, text = services.rotate_key(
            key=key,
            by=request.user,
            reason=form.cleaned_data["reason"],
            overlap=form.overlap_of(),
        )
    except (Invalid, Conflict) as problem:
        form.add_error(None, problem.message)
        return _key_page(request, key, rotate_form=form, status=status_of(problem))
    return _shown_once(request, successor, text, old=key)


@require_POST
@needs("accounts.manage_keys")
def revoke(request: HttpRequest, public_id: str) -> HttpResponse:
    key = queries.key_named(public_id)
    try:
        services.revoke_key(key=key, by=request.user, reason=request.POST.get("reason", ""))
    except (Invalid, Conflict) as problem:
        return _key_page(request, key, revoke_problem=problem, status=status_of(problem))
    message = f"The key of {key.name} is revoked; every replica refuses it within five seconds."
    return redirect_303(request, "keys", message)


def _key_page(
    request: HttpRequest,
    key: ApiKey,
    *,
    rotate_form: RotateForm | None = None,
    revoke_problem: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "row": queries.key_rows([key])[0],
        "key": key,
        "successors": ApiKey.objects.filter(replaces=key),
        "history": queries.history_of("api_key", key.public_id),
        "standing": neighbours.standing_of(key.public_id),
        "rotate_form": rotate_form or RotateForm(),
        "revoke_problem": revoke_problem,
        "revoke_reason": request.POST.get("reason", "") if revoke_problem else "",
    }
    return render_screen(request, "accounts/key.html", context, status=status)


def _shown_once(
    request: HttpRequest, key: ApiKey, text: str, *, old: ApiKey | None = None
) -> HttpResponse:
    """The only answer with the text. No redirect: it must not wait in a session or a cache."""
    context = {"key": key, "text": text, "old": old}
    answer = render_screen(request, "accounts/key_once.html", context, status=201)
    answer["Cache-Control"] = "no-store"
    return answer
