"""Addresses of reports, under /reports/."""

from django.urls import path

from audit.views import reports

urlpatterns = [
    path("", reports.reports, name="reports"),
    path("schedule/", reports.report_schedule, name="report-schedule"),
    path("<uuid:report_id>/", reports.report, name="report"),
    path("<uuid:report_id>/bundle/", reports.report_bundle, name="report-bundle"),
    path("<uuid:report_id>/cancel/", reports.report_cancel, name="report-cancel"),
]
