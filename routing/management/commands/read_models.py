"""What screens read, made again: the counts from the decision list, or the list from the ledger.

Both are derived, so nothing is lost; traffic goes on meanwhile and is read in afterwards.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from routing.services import projection


class Command(BaseCommand):
    help = "Makes what screens read again: recount (counts), rebuild (list and counts)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=("recount", "rebuild"))

    def handle(self, *args: Any, **options: Any) -> None:
        if options["act"] == "recount":
            self.stdout.write(f"Counted {projection.recount():,} decisions that have ended.")
            return
        projection.rebuild()
        entries = 0
        while taken := projection.follow():
            entries += taken
        self.stdout.write(f"Made the list again from {entries:,} entries of the ledger.")
