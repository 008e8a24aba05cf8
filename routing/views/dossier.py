"""The policy dossier of one version, as a page to read and print, and as PDF."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from routing.queries import dossier as queries
from routing.queries import policies
from screens.access import needs
from screens.pages import render_screen


@require_GET
@needs("routing.view")
def dossier(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    version = policies.version_named(slug, number)
    context = {"version": version, "route": version.route, "dossier": queries.dossier_of(version)}
    return render_screen(request, "routing/dossier.html", context)


@require_GET
@needs("routing.view")
def dossier_pdf(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    version = policies.version_named(slug, number)
    answer = HttpResponse(
        queries.as_pdf(queries.dossier_of(version), version), content_type="application/pdf"
    )
    answer["Content-Disposition"] = f'inline; filename="dossier-{slug}-{number}.pdf"'
    return answer
