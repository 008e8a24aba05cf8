"""Policies from the command line, for git and CI: see docs/policy-as-code.md.

Ends with 0 when all is well, 1 for findings, failing tests or differences, 2 when what was asked
cannot be done.
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from routing.management.policy import checks, history

ACTS = {
    "lint": checks.lint,
    "test": checks.test,
    "diff": checks.diff,
    "export": checks.export,
    "import": history.take_in,
    "backtest": history.backtest,
    "replay": history.replay,
}


class Command(BaseCommand):
    help = "Checks, compares, imports, exports and backtests policies."
    # The checks of the whole project may need more than a file and Python.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        lint = self._act(acts, "lint", "the findings of the analysis; 1 when one blocks")
        lint.add_argument("source", metavar="FILE|ROUTE@N")
        lint.add_argument("--strict", action="store_true", help="warnings end with 1 too")
        test = self._act(acts, "test", "runs the tests of the document; 1 when one fails")
        test.add_argument("source", metavar="FILE|ROUTE@N")
        diff = self._act(acts, "diff", "what B changes against A; 1 when they differ")
        diff.add_argument("before", metavar="A")
        diff.add_argument("after", metavar="B")
        export = self._act(acts, "export", "writes the document")
        export.add_argument("source", metavar="ROUTE@N")
        export.add_argument("--format", choices=("yaml", "json"), default="yaml")
        take_in = self._act(acts, "import", "lints, tests, compares, and makes it a draft")
        take_in.add_argument("source", metavar="FILE")
        take_in.add_argument("--dry-run", action="store_true", help="change nothing")
        take_in.add_argument("--by", metavar="NAME", help="whose draft it becomes")
        for one in (lint, test, diff, take_in):
            one.add_argument("--backends", metavar="FILE", help="instead of the registry")
        self._history(acts)

    def _history(self, acts: Any) -> None:
        backtest = self._act(acts, "backtest", "decides recorded requests again; 1 at a guardrail")
        backtest.add_argument("version", metavar="ROUTE@N")
        backtest.add_argument("--days", type=int, default=14)
        backtest.add_argument("--sample", type=int, help="about so many of the decisions")
        replay = self._act(acts, "replay", "proves that decisions come out again; 1 when not")
        replay.add_argument("--decisions", type=int, default=1000, metavar="N")
        replay.add_argument("--route", metavar="SLUG", help="only decisions of this route")
        replay.add_argument("--against", metavar="ROUTE@N", help="and a table under this version")

    @staticmethod
    def _act(acts: Any, name: str, words: str) -> Any:
        parser = acts.add_parser(name, help=words, description=words)
        parser.add_argument("--json", action="store_true", help="one JSON document, for CI")
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        report = ACTS[options["act"]](options)
        self.stdout.write(report.text(as_json=options["json"]))
        if report.code:
            sys.exit(report.code)
