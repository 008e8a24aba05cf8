"""Classifiers: the list with the form to train one, the card of each, and the jobs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from kombu.exceptions import OperationalError

from routing.forms.classifiers import TrainingForm, TryForm
from routing.models import Classifier, ClassifierTraining
from routing.queries import classifiers as queries
from routing.queries.drift import drift_of
from routing.services import classifiers
from routing.tasks import train_classifier
from screens.access import may, needs
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import page_of, redirect_303, render_screen


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.view")
def classifier_list(request: HttpRequest) -> HttpResponse:
    """All versions, and the form for another; the service says who may train."""
    is_sent = request.method == "POST"
    form = TrainingForm(request.POST if is_sent else None, request.FILES if is_sent else None)
    context: dict[str, Any] = {"form": form}
    status = 200
    if is_sent and form.is_valid():
        try:
            return _start(request, classifiers.request_training(by=request.user, **form.asked()))
        except Invalid as problem:
            form.add_error("file", problem.message.split("; "))
            status = 422
        except Conflict as problem:
            context["problem"] = problem
            status = 409
    elif is_sent:
        status = 422
    context["page"] = page_of(queries.all_classifiers(), request)
    context["trainings"] = queries.open_trainings()
    context["may_train"] = may(request.user, "routing.edit_policy")
    return render_screen(request, "routing/classifiers.html", context, status=status)


def _start(request: HttpRequest, training: ClassifierTraining) -> HttpResponse:
    try:
        train_classifier.delay(str(training.pk))
    except OperationalError:
        classifiers.fail_training(training=training, problem="The job queue does not answer.")
    return redirect_303(request, training)


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.view")
def classifier(request: HttpRequest, name: str, version: int) -> HttpResponse:
    """The card, the curve, and one prompt scored in parts; a prompt is sent by POST, never kept."""
    return _page(request, queries.classifier_of(name, version))


def _page(
    request: HttpRequest,
    found: Classifier,
    *,
    problem: DomainError | None = None,
    status: int = 200,
    why: str = "",
) -> HttpResponse:
    is_sent = request.method == "POST" and problem is None
    form = TryForm(request.POST if is_sent else None, initial={"prompt": queries.EXAMPLE})
    is_valid = is_sent and form.is_valid()
    prompt = form.cleaned_data["prompt"] if is_valid else queries.EXAMPLE
    context = {
        "classifier": found,
        "card": found.card,
        "page": queries.card_page(found),
        "drift": drift_of(found),
        "form": form,
        "tried": queries.tried(found, prompt),
        "may_retire": found.state == "ready" and may(request.user, "routing.edit_policy"),
        "problem": problem,
        "why": why,
    }
    if is_sent and not is_valid:
        status = 422
    return render_screen(request, "routing/classifier.html", context, status=status)


@require_POST
@needs("routing.edit_policy")
def retire(request: HttpRequest, name: str, version: int) -> HttpResponse:
    found = queries.classifier_of(name, version)
    why = request.POST.get("reason", "")[:500]
    try:
        classifiers.retire_classifier(classifier=found, by=request.user, reason=why)
    except (Conflict, Invalid) as problem:
        status = 409 if isinstance(problem, Conflict) else 422
        return _page(request, found, problem=problem, status=status, why=why)
    return redirect_303(request, found, f"{found} is retired.")


@require_GET
@needs("routing.view")
def artefact(request: HttpRequest, name: str, version: int) -> HttpResponse:
    """The published JSON, for a reviewer or another installation."""
    found = queries.classifier_of(name, version)
    return HttpResponse(
        orjson.dumps(found.artefact, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2),
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}-{version}.json"'},
    )


@require_GET
@needs("routing.view")
def training(request: HttpRequest, training_id: UUID) -> HttpResponse:
    """One training: its progress as a fragment that asks again, then the classifier."""
    context = {
        "training": queries.training_of(training_id),
        "may_train": may(request.user, "routing.edit_policy"),
    }
    return render_screen(request, "routing/training.html", context, partial="progress")


@require_POST
@needs("routing.edit_policy")
def cancel_training(request: HttpRequest, training_id: UUID) -> HttpResponse:
    found = queries.training_of(training_id)
    classifiers.cancel_training(training=found, by=request.user)
    return redirect_303(request, found, "The training was cancelled.")
