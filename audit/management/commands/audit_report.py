"""Makes a signed report bundle over a period, without the web: for scripts and auditors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from audit import keys
from audit.actors import SYSTEM
from audit.errors import LedgerFault
from audit.ids import uuid7
from audit.ledger import record
from audit.reports import bundle, cut
from audit.reports.services import moment_of, record_generated, wait_for_checkpoint
from screens.errors import DomainError, Invalid


class Command(BaseCommand):
    help = "Writes a report bundle over the half-open UTC period --from to --to."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from", dest="start", required=True, help="2026-11-01, or with a time"
        )
        parser.add_argument("--to", dest="end", required=True, help="the first moment not included")
        parser.add_argument("--out", required=True, help="the ZIP file to write")
        parser.add_argument(
            "--seed", default="", help="draws the auditor's sample (default: by the end root)"
        )
        parser.add_argument("--wait", type=float, default=5.0, help="seconds for the sequencer")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._make(options)
        except (DomainError, LedgerFault) as problem:
            raise CommandError(str(problem)) from problem

    def _make(self, options: dict[str, Any]) -> None:
        start, end = moment_of(options["start"]), moment_of(options["end"])
        if start >= end:
            raise Invalid("The period must end after it begins.")
        by, identity = SYSTEM("command line"), uuid7()
        with transaction.atomic():
            record(
                "report.requested",
                by=by,
                object_type="report",
                object_id=identity,
                details={"period_from": start, "period_to": end},
            )
        wait_for_checkpoint(end, seconds=options["wait"])
        request = bundle.Request(
            period_from=start,
            period_to=end,
            cut=cut.choose(start, end),
            seed=options["seed"].strip()[:64],
        )
        written = bundle.write(Path(options["out"]), request, keys.signer())
        with transaction.atomic():
            record_generated(identity, written, start, end, by)
        self.stdout.write(f"{options['out']}: {written.entries} entries, {written.digest}")
        if request.cut.end.at < end:
            self.stdout.write(
                f"The log was last signed at {request.cut.end.at:%Y-%m-%d %H:%M:%S} UTC: "
                "the bundle is complete only until then."
            )
