"""Addresses of a version's life: its meaning, its replicas, schedule and rebase."""

from __future__ import annotations

from django.urls import path

from routing.views import lifecycle

_VERSION = "routes/<slug:slug>/versions/<int:number>/"

urlpatterns = [
    path(f"{_VERSION}meaning/", lifecycle.meaning, name="version-meaning"),
    path(f"{_VERSION}witness/", lifecycle.witness, name="witness"),
    path(f"{_VERSION}leaks/<slug:key>/", lifecycle.leak, name="leak"),
    path(f"{_VERSION}replicas/", lifecycle.replicas, name="version-replicas"),
    path(f"{_VERSION}schedule/", lifecycle.schedule, name="schedule-version"),
    path(f"{_VERSION}cancel-schedule/", lifecycle.cancel_schedule, name="cancel-schedule"),
    path(f"{_VERSION}rebase/", lifecycle.rebase, name="rebase-version"),
    path(
        f"{_VERSION}conflicts/<int:place>/settle/",
        lifecycle.settle_conflict,
        name="settle-conflict",
    ),
]
