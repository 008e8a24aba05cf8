"""The evidence of one decision: to read, to print, and to take away."""

from __future__ import annotations

from uuid import UUID

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_GET

from audit.actors import Actor
from audit.errors import KeyUnavailable
from audit.reports import evidence as evidences
from screens.access import may, needs
from screens.errors import Conflict
from screens.pages import render_screen

_TYPES = {"zip": "application/zip", "pdf": "application/pdf"}


@require_GET
@needs("audit.view")
def decision_evidence(request: HttpRequest, decision_id: UUID) -> HttpResponse:
    """Every entry about a decision, its place in the log, and how to check it."""
    context = {
        "evidence": evidences.evidence_of(decision_id),
        "may_export": may(request.user, "audit.export"),
    }
    return render_screen(request, "audit/evidence.html", context)


@require_GET
@needs("audit.export")
def decision_evidence_file(request: HttpRequest, decision_id: UUID, form: str) -> HttpResponseBase:
    """The same as a signed ZIP or a PDF. Taking it is recorded."""
    if form not in _TYPES:
        raise Http404
    found = evidences.evidence_of(decision_id)
    try:
        file, digest = evidences.take(evidence=found, form=form, by=Actor.of(request.user))
    except KeyUnavailable as problem:
        raise Conflict(
            f"The evidence file cannot be signed here: {problem}.",
            code="key_unavailable",
            what_next="Take the PDF, or let an operator give this process the signing key to read.",
        ) from problem
    answer = FileResponse(
        file, as_attachment=True, filename=f"{found.name}.{form}", content_type=_TYPES[form]
    )
    answer["X-Signalbox-Digest"] = digest
    return answer
