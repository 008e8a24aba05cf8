"""Set up the demonstration: people, backends, route, policy, API key. Safe to run twice."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config.demo.seed import seed


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        facts = seed()
        self.stdout.write(f"Demonstration ready: {facts['url']}")
