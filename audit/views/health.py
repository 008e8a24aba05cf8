"""Integrity: what protects the trail here, whether it verifies, and the button that checks it."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST
from kombu.exceptions import OperationalError

from audit import doctor, queries, verification
from audit.actors import Actor
from audit.tasks import verify_trail
from screens.access import needs
from screens.pages import redirect_303, render_screen


@require_GET
@needs("audit.view")
def audit_health(request: HttpRequest) -> HttpResponse:
    """The state of the log; the verification's progress is a fragment that asks again by itself."""
    checks = doctor.examine()
    context = {
        "health": queries.health(),
        "checks": checks,
        "worst": doctor.worst(checks),
        "now": timezone.now(),
    }
    return render_screen(request, "audit/health.html", context, partial="verification")


@require_POST
@needs("audit.view")
def audit_verify(request: HttpRequest) -> HttpResponse:
    """Recompute the whole trail in the background."""
    with transaction.atomic():
        job = verification.request(by=Actor.of(request.user))
    try:
        verify_trail.delay(str(job.pk))
    except OperationalError:
        verification.could_not_start(verification_id=job.pk)
        return redirect_303(request, "audit-health", verification.NO_QUEUE)
    return redirect_303(request, "audit-health", "The verification has begun.")
