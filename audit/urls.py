"""Addresses of the trail, under /audit/. Reports have their own, in report_urls."""

from django.urls import path

from audit.views import evidence, health, trail

urlpatterns = [
    path("", trail.audit_trail, name="audit-trail"),
    path("export/", trail.audit_export, name="audit-export"),
    path("health/", health.audit_health, name="audit-health"),
    path("verify/", health.audit_verify, name="audit-verify"),
    path("decisions/<uuid:decision_id>/", evidence.decision_evidence, name="decision-evidence"),
    path(
        "decisions/<uuid:decision_id>/evidence.<str:form>",
        evidence.decision_evidence_file,
        name="decision-evidence-file",
    ),
    path("<uuid:event_id>/", trail.audit_event, name="audit-event"),
    path("<uuid:event_id>/proof/", trail.audit_proof, name="audit-proof"),
]
