"""One request under one version: the sentence, the outcome and the whole trace."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from routing.engine.types import PolicyError
from routing.forms.documents import SimulateForm
from routing.models import PolicyVersion, SavedExample
from routing.queries import english
from routing.queries import policies as queries
from routing.services import examples as kept
from routing.services.simulation import EXAMPLES, ExamplePrompt, Request, Simulated
from routing.services.simulation import simulate as decide_once
from screens.access import needs
from screens.errors import Conflict, Invalid
from screens.pages import render_screen


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.view")
def simulate(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """POST, so that no prompt is ever part of an address that a server would log."""
    version = queries.version_named(slug, number)
    context: dict[str, Any] = {"version": version, "route": version.route, "examples": EXAMPLES}
    saved = _saved(request, version)
    if saved is not None:
        return _of_saved(request, version, saved, context)
    status = 200
    form = SimulateForm(_sent(request, version.route.data_class))
    if not form.is_bound:
        form = SimulateForm(initial={"data_class": version.route.data_class})
    elif form.is_valid():
        asked = Request(**form.cleaned_data)
        result = _decided(lambda: decide_once(version=version, request=asked))
        # Without ids: the visible form on the same page has them.
        context |= _shown(version, result) | {"tried": SimulateForm(form.data, auto_id=False)}
    else:
        status = 422
    return render_screen(request, "routing/simulate.html", {**context, "form": form}, status=status)


def _of_saved(
    request: HttpRequest, version: PolicyVersion, saved: SavedExample, context: dict[str, Any]
) -> HttpResponse:
    result = _decided(lambda: kept.simulate_example(version=version, example=saved))
    form = SimulateForm(initial={**saved.request, "prompt": saved.prompt})
    context |= _shown(version, result) | {"form": form, "shown_example": saved}
    return render_screen(request, "routing/simulate.html", context)


def _decided(decide: Any) -> Simulated:
    try:
        result: Simulated = decide()
    except (PolicyError, Invalid):
        raise Conflict(
            "The document of this version cannot be read, so it decides nothing.",
            what_next="Look at its findings first.",
        ) from None
    return result


def _shown(version: PolicyVersion, result: Simulated) -> dict[str, Any]:
    given = kept.given_of(version, result.decision.trace.signals)
    return english.decision_words(version.document, result) | {"given": json.dumps(given)}


def _saved(request: HttpRequest, version: PolicyVersion) -> SavedExample | None:
    wanted = request.POST.get("saved", "") if request.method == "POST" else ""
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 12):
        return None
    found: SavedExample | None = version.route.examples.filter(pk=int(wanted)).first()
    return found


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
