"""Addresses of what governance reads and decides. Verbs at the end are POST."""

from __future__ import annotations

from django.urls import URLPattern, path

from routing.views import backends, data_flow, dossier, signoffs

_VERSION = "routes/<slug:slug>/versions/<int:number>/"

urlpatterns: list[URLPattern] = [
    path("data-flow/", data_flow.document, name="data-flow"),
    path("data-flow/issue/", data_flow.issue, name="issue-data-flow"),
    path("data-flow/versions/<int:number>/", data_flow.issued, name="data-flow-issue"),
    path("data-flow.csv", data_flow.table, name="data-flow-csv"),
    path("data-flow.pdf", data_flow.printed, name="data-flow-pdf"),
    path(f"{_VERSION}dossier/", dossier.dossier, name="dossier"),
    path(f"{_VERSION}dossier.pdf", dossier.dossier_pdf, name="dossier-pdf"),
    path("sign-offs/", signoffs.signoff_list, name="sign-offs"),
    path("sign-offs/<int:pk>/", signoffs.signoff, name="sign-off"),
    path("sign-offs/<int:pk>/approve/", signoffs.approve, name="approve-sign-off"),
    path("sign-offs/<int:pk>/refuse/", signoffs.refuse, name="refuse-sign-off"),
    path("sign-offs/<int:pk>/revoke/", signoffs.revoke, name="revoke-sign-off"),
    path("backends/<slug:name>/sign-offs/new/", signoffs.ask, name="ask-sign-off"),
    path("backends/<slug:name>/secret/", backends.secret, name="backend-secret"),
    path("backends/<slug:name>/secret/remove/", backends.remove_secret, name="remove-secret"),
]
