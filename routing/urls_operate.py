"""Addresses of the screens that watch and operate."""

from __future__ import annotations

from django.urls import URLPattern, path

from routing.views import backends, budgets, decisions, overview, switches, system

urlpatterns: list[URLPattern] = [
    path("", overview.overview, name="overview"),
    path("kill-switch/", switches.kill_switch, name="kill-switch"),
    path("kill-switch/engage/", switches.engage, name="engage-switch"),
    path("kill-switch/<int:pk>/release/", switches.release, name="release-switch"),
    path("decisions/", decisions.decision_list, name="decisions"),
    path("decisions/new/", decisions.new_decisions, name="new-decisions"),
    path("decisions.csv", decisions.decisions_csv, name="decisions-csv"),
    path("decisions/filters/", decisions.save_filter, name="save-filter"),
    path("decisions/filters/<int:pk>/remove/", decisions.remove_filter, name="remove-filter"),
    path("decisions/<uuid:decision_id>/", decisions.decision, name="decision"),
    path("decisions/<uuid:decision_id>/reveal/", decisions.reveal, name="reveal-decision"),
    path("backends/", backends.backend_list, name="backends"),
    path("backends/new/", backends.register, name="register-backend"),
    path("backends/<slug:name>/", backends.backend, name="backend"),
    path("backends/<slug:name>/change/", backends.change, name="change-backend"),
    path("backends/<slug:name>/test/", backends.test_connection, name="test-backend"),
    path("backends/<slug:name>/state/", backends.change_state, name="backend-state"),
    path("routes/<slug:slug>/budget/", budgets.route_budget, name="route-budget"),
    path("settings/keys/<slug:public_id>/budget/", budgets.key_budget, name="key-budget"),
    path("settings/system/", system.system_page, name="system"),
]
