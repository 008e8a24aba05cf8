"""Keeping what was simulated: as an example of the route, or as a test of one's draft."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from routing.forms.documents import SimulateForm
from routing.models import SavedExample
from routing.queries.policies import version_named
from routing.services import examples
from routing.services.simulation import Request
from screens.access import needs
from screens.errors import Invalid
from screens.pages import redirect_303


@require_POST
@needs("routing.edit_policy")
def save(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    version = version_named(slug, number)
    form = SimulateForm(request.POST)
    if not form.is_valid():
        raise Invalid("The request is incomplete.", what_next="Simulate it again, then save it.")
    example = examples.save_example(
        version=version,
        name=request.POST.get("name", ""),
        request=Request(**form.cleaned_data),
        is_invented=request.POST.get("is_invented") == "on",
        by=request.user,
    )
    to = reverse("simulate-version", args=[slug, number])
    kept = "with its text" if example.is_invented else "its signals only, without the text"
    return redirect_303(request, to, f"Saved as “{example.name}”, {kept}.")


@require_POST
@needs("routing.edit_policy")
def remove(request: HttpRequest, slug: str, number: int, example_id: int) -> HttpResponse:
    example = get_object_or_404(SavedExample, pk=example_id, route__slug=slug)
    examples.remove_example(
        example=example, by=request.user, reason=request.POST.get("reason", "")[:300]
    )
    to = reverse("simulate-version", args=[slug, number])
    return redirect_303(request, to, f"“{example.name}” is removed.")


@require_POST
@needs("routing.edit_policy")
def copy_test(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Into one's draft; where there is none yet, one begins from this version."""
    draft = examples.copy_as_test(
        version=version_named(slug, number),
        name=request.POST.get("name", ""),
        given=_given(request.POST.get("given", "")),
        by=request.user,
    )
    to = reverse("draft-tests", args=[slug, draft.number])
    return redirect_303(request, to, f"The test is part of draft {draft.number}.")


def _given(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text[:10_000])
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise Invalid("The signals of the test cannot be read.", what_next="Simulate it again.")
    return given
