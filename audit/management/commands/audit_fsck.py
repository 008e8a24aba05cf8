"""Recomputes the ledger; the last line is "ok", or the command ends with 1."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.fsck import Result, check
from audit.notes import NoteError, Verifier


class Command(BaseCommand):
    help = "Recomputes the audit trail from the database and names the first broken entry."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--key", help="believe only this verifier key (text or file)")
        parser.add_argument("--anchors", help="the anchor file to compare with")

    def handle(self, *args: Any, **options: Any) -> None:
        result = check(
            verifiers=[read_verifier(options["key"])] if options["key"] else None,
            anchor_file=Path(options["anchors"]) if options["anchors"] else None,
        )
        for line in lines(result):
            self.stdout.write(line)
        if not result.is_ok:
            sys.exit(1)


def read_verifier(text: str) -> Verifier:
    path = Path(text)
    try:
        return Verifier.parse(path.read_text() if path.is_file() else text)
    except NoteError as problem:
        raise CommandError(str(problem)) from problem


def lines(result: Result) -> list[str]:
    counted = [
        ("entries", f"{result.size}, root {result.root}"),
        ("checkpoints", str(result.checkpoints)),
        ("anchors", str(result.anchors) if result.anchors else "none held outside yet"),
        ("waiting", f"{result.pending} for the sequencer"),
        ("writers", str(result.writers)),
        ("accepted", str(result.accepted)),
        ("decisions", str(result.decisions)),
        ("terminal", str(result.terminal)),
        ("open", f"{result.open} inside their deadline"),
    ]
    out = [f"{name:<12} {value}" for name, value in counted]
    if result.is_ok:
        return [*out, "ok"]
    return [*out, *(f"broken: {finding.sentence}" for finding in result.findings)]
