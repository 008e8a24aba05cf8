"""Addresses of the management API of routes, policies, backends and decisions."""

from __future__ import annotations

from django.urls import path

from routing.api import operation, policies

_ROUTE = "routes/<slug:slug>"
_VERSION = f"{_ROUTE}/versions/<int:number>"

urlpatterns = [
    path("routes", policies.Routes.as_view(), name="api-routes"),
    path(_ROUTE, policies.OneRoute.as_view(), name="api-route"),
    path(f"{_ROUTE}/roll-back", policies.RollBack.as_view(), name="api-roll-back"),
    path(f"{_ROUTE}/versions", policies.Versions.as_view(), name="api-versions"),
    path(_VERSION, policies.Version.as_view(), name="api-version"),
    path(f"{_VERSION}/findings", policies.Findings.as_view(), name="api-findings"),
    path(f"{_VERSION}/simulate", policies.Simulate.as_view(), name="api-simulate"),
    path(f"{_VERSION}/submit", policies.Submit.as_view(), name="api-submit"),
    path(f"{_VERSION}/withdraw", policies.Withdraw.as_view(), name="api-withdraw"),
    path(f"{_VERSION}/activate", policies.Activate.as_view(), name="api-activate"),
    path("backends", operation.Backends.as_view(), name="api-backends"),
    path("backends/<slug:name>", operation.OneBackend.as_view(), name="api-backend"),
    path("backends/<slug:name>/state", operation.BackendState.as_view(), name="api-backend-state"),
    path("backends/<slug:name>/probe", operation.BackendProbe.as_view(), name="api-probe"),
    path("kill-switches", operation.Switches.as_view(), name="api-kill-switches"),
    path("kill-switches/<int:pk>/release", operation.ReleaseSwitch.as_view(), name="api-release"),
    path("decisions", operation.Decisions.as_view(), name="api-decisions"),
    path("decisions/<uuid:decision_id>", operation.OneDecision.as_view(), name="api-decision"),
]
