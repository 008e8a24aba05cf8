"""Recomputes the verdict of a promotion from its frozen counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from routing.models import Promotion
from routing.verify_evidence import report


class Command(BaseCommand):
    help = "Judge the evidence of a promotion again: its id, or a file."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("evidence", help="the id of a promotion, or a file")

    def handle(self, *args: Any, **options: Any) -> None:
        given, expected = str(options["evidence"]), ""
        if Path(given).is_file():
            text = Path(given).read_text(encoding="utf-8")
        else:
            try:
                promotion = Promotion.objects.get(pk=UUID(given))
            except (ValueError, Promotion.DoesNotExist):
                raise CommandError(f"There is neither a promotion nor a file {given}.") from None
            text, expected = promotion.evidence, promotion.evidence_digest
        lines, holds = report(text, expected=expected)
        self.stdout.write("\n".join(lines))
        if not holds:
            raise CommandError("The evidence does not hold.")
