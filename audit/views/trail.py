"""The audit trail: search, one event with its proof, export."""

from __future__ import annotations

from uuid import UUID

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from audit import exports, queries
from audit.actors import Actor
from audit.events import GROUPS, KINDS, OBJECTS
from audit.queries import Filters
from screens.access import needs
from screens.errors import Invalid
from screens.pages import render_screen

RESULTS = ("ok", "denied", "failed")
_LABELS = {
    "actor": "who",
    "kind": "act",
    "group": "kind of act",
    "object_type": "object",
    "object_id": "object id",
    "request_id": "request",
    "decision_id": "decision",
    "text": "reason",
    "since": "from",
    "until": "before",
}


@require_GET
@needs("audit.view")
def audit_trail(request: HttpRequest) -> HttpResponse:
    """Search everything that was recorded, newest first."""
    filters = Filters.of(request.GET)
    page = queries.trail(filters, request.GET.get("before", ""))
    context = {
        "filters": filters,
        "page": page,
        "chips": _chips(filters),
        "older_url": f"?{filters.query(before=page.older)}" if page.older else "",
        "is_first": not request.GET.get("before"),
        "newest_url": f"?{filters.query()}",
        "groups": [
            (label, [(code, code) for code, kind in KINDS.items() if kind.group == group])
            for group, label in GROUPS.items()
        ],
        "group_choices": GROUPS.items(),
        "objects": sorted(OBJECTS.items(), key=lambda pair: pair[1]),
        "results": RESULTS,
    }
    return render_screen(request, "audit/trail.html", context)


def _chips(filters: Filters) -> list[dict[str, str]]:
    return [
        {
            "name": _LABELS.get(name, name),
            "value": GROUPS.get(value, value) if name == "group" else value,
            "url": f"?{filters.query(without=name)}",
        }
        for name, value in filters.set_ones().items()
    ]


@require_GET
@needs("audit.view")
def audit_event(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """One event: in words, as stored, and with its place in the tree."""
    event = queries.event(event_id)
    if event is None:
        raise Http404
    proof = queries.inclusion_proof(event_id)
    context = {
        "event": event,
        "entry": event.entry,
        "diff": event.entry.get("diff", []),
        "details": event.entry.get("details") or {},
        "proof": proof,
        "proof_holds": proof is not None and proof.holds(),
        "neighbours_url": f"{reverse('audit-trail')}?request_id={event.request_id}",
        "others": queries.events_of_decision(event.decision_id) if event.decision_id else [],
    }
    return render_screen(request, "audit/event.html", context)


@require_GET
@needs("audit.view")
def audit_proof(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """The inclusion proof as a C2SP .tlog-proof file."""
    proof = queries.inclusion_proof(event_id)
    if proof is None:
        raise Http404
    answer = HttpResponse(proof.as_text(), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{event_id}.tlog-proof"'
    return answer


@require_POST
@needs("audit.export")
def audit_export(request: HttpRequest) -> HttpResponseBase:
    """What the filters find, as CSV or JSON Lines. Recorded before the first byte."""
    form = request.POST.get("format", "")
    if form not in ("csv", "jsonl"):
        raise Invalid("Choose CSV or JSON Lines.", code="export_format")
    export = exports.export_trail(
        filters=Filters.of(request.POST),
        form="csv" if form == "csv" else "jsonl",
        by=Actor.of(request.user),
        reason=request.POST.get("reason", "")[:300],
    )
    answer = FileResponse(
        export.file, as_attachment=True, filename=export.name, content_type=export.content_type
    )
    answer["X-Signalbox-Count"] = str(export.count)
    answer["X-Signalbox-Digest"] = export.digest
    return answer
