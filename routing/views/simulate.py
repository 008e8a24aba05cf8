"""One request under one version: the sentence, the outcome and the whole trace."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from routing.engine.types import PolicyError
from routing.forms.documents import SimulateForm
from routing.queries import english
from routing.queries import policies as queries
from routing.services.simulation import EXAMPLES, ExamplePrompt, Request
from routing.services.simulation import simulate as decide_once
from screens.access import needs
from screens.errors import Conflict
from screens.pages import render_screen


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.view")
def simulate(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """POST, so that no prompt is ever part of an address that a server would log."""
    version = queries.version_named(slug, number)
    context: dict[str, Any] = {"version": version, "route": version.route, "examples": EXAMPLES}
    status = 200
    form = SimulateForm(_sent(request, version.route.data_class))
    if not form.is_bound:
        form = SimulateForm(initial={"data_class": version.route.data_class})
    elif form.is_valid():
        try:
            result = decide_once(version=version, request=Request(**form.cleaned_data))
        except PolicyError:
            raise Conflict(
                "The document of this version cannot be read, so it decides nothing.",
                what_next="Look at its findings first.",
            ) from None
        context |= english.decision_words(version.document, result)
    else:
        status = 422
    return render_screen(request, "routing/simulate.html", {**context, "form": form}, status=status)


def _sent(request: HttpRequest, data_class: str) -> dict[str, Any] | None:
    """What was typed, or the example whose button was pressed."""
    if request.method != "POST":
        return None
    example = _example(request.POST.get("example", ""))
    if example is None:
        return request.POST
    return {"data_class": data_class, "client": "example", "prompt": example.prompt} | dict(
        example.changes
    )


def _example(text: str) -> ExamplePrompt | None:
    number = int(text) if text.isdigit() and len(text) < 4 else -1
    return EXAMPLES[number] if 0 <= number < len(EXAMPLES) else None
