"""Routing begins: what it wants people to look at is made known."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    name = "routing"

    def ready(self) -> None:
        import_module("routing.queries.attention")
