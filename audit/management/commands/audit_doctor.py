"""Says what of the append-only promise holds for the running role. Ends with 1 when it does not."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audit.doctor import examine, worst


class Command(BaseCommand):
    help = "Checks roles, rights, guards, durability, keys and anchors of the audit trail."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--strict", action="store_true", help="weaker counts as failed too")

    def handle(self, *args: Any, **options: Any) -> None:
        checks = examine()
        for check in checks:
            self.stdout.write(f"{check.verdict:<5} {check.name:<12} {check.sentence}")
        verdict = worst(checks)
        self.stdout.write(verdict)
        if verdict == "bad" or (options["strict"] and verdict != "ok"):
            sys.exit(1)
