"""Addresses of routes, their policy versions and drafts. Verbs at the end are POST."""

from __future__ import annotations

from django.urls import path

from routing.views import drafts, routes, rules, simulate, versions

_VERSION = "routes/<slug:slug>/versions/<int:number>/"

urlpatterns = [
    path("routes/", routes.route_list, name="routes"),
    path("routes/<slug:slug>/", routes.route, name="route"),
    path("routes/<slug:slug>/start-draft/", routes.start_draft, name="start-draft"),
    path("routes/<slug:slug>/import/", routes.import_draft, name="import-draft"),
    path("routes/<slug:slug>/roll-back/", routes.roll_back, name="roll-back"),
    path(_VERSION, versions.version, name="version"),
    path(f"{_VERSION}submit/", versions.submit, name="submit-version"),
    path(f"{_VERSION}judge/", versions.judge, name="judge-version"),
    path(f"{_VERSION}activate/", versions.activate, name="activate-version"),
    path(f"{_VERSION}withdraw/", versions.withdraw, name="withdraw-version"),
    path(f"{_VERSION}export/", versions.export, name="export-version"),
    path(f"{_VERSION}simulate/", simulate.simulate, name="simulate-version"),
    path(f"{_VERSION}rules/new/", rules.add_rule, name="draft-add-rule"),
    path(f"{_VERSION}rules/<slug:rule_id>/", rules.edit_rule, name="draft-rule"),
    path(f"{_VERSION}rules/<slug:rule_id>/move/", rules.move_rule, name="draft-move-rule"),
    path(f"{_VERSION}rules/<slug:rule_id>/switch/", rules.switch_rule, name="draft-switch-rule"),
    path(f"{_VERSION}rules/<slug:rule_id>/remove/", rules.remove_rule, name="draft-remove-rule"),
    path(f"{_VERSION}default/", drafts.default, name="draft-default"),
    path(f"{_VERSION}thresholds/", drafts.thresholds, name="draft-thresholds"),
    path(f"{_VERSION}fallbacks/", drafts.fallbacks, name="draft-fallbacks"),
    path(f"{_VERSION}answers/", drafts.answers, name="draft-answers"),
    path(f"{_VERSION}limits/", drafts.limits, name="draft-limits"),
    path(f"{_VERSION}tests/", drafts.tests, name="draft-tests"),
    path(f"{_VERSION}tests/<int:place>/remove/", drafts.remove_test, name="draft-remove-test"),
]
