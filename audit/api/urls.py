"""Addresses of the management API of the trail."""

from __future__ import annotations

from django.urls import path

from audit.api import trail

urlpatterns = [
    path("events", trail.Events.as_view(), name="api-events"),
    path("events/<uuid:event_id>", trail.OneEvent.as_view(), name="api-event"),
    path("health", trail.Health.as_view(), name="api-audit-health"),
    path("reports", trail.Reports.as_view(), name="api-reports"),
    path("reports/<uuid:report_id>", trail.OneReport.as_view(), name="api-report"),
]
