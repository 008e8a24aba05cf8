"""How the installation is, for the people who run it. Nothing can be changed here."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from routing.queries.system import system
from routing.services import queues, snapshots
from screens.access import needs
from screens.pages import render_screen


@require_GET
@needs("routing.operate")
def system_page(request: HttpRequest) -> HttpResponse:
    expected = snapshots.build_document()["digest"]
    context = {"system": system(expected), "expected": expected, "queues": queues.depths()}
    return render_screen(request, "routing/system.html", context)
