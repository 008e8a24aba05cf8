"""Stored texts: what was kept, read, erased and held back from erasure."""

from __future__ import annotations

from typing import Any

from audit.reports.blocks import Listing, Tally, facts, section, text
from audit.reports.sections.base import Entry, Part
from audit.reports.traffic import Brief


class Privacy(Part):
    name, title = "privacy", "Privacy: stored texts, readings and erasures"
    wants = frozenset({"privacy", "review"})

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.committed = self.decisions = 0
        self.found = Tally()
        self.read = Listing("Readings of stored text by people")
        self.erased = Listing("Erasures, retention runs and legal holds")

    def made(self, seq: int, entry: Entry, brief: Brief, is_inside: bool) -> None:
        if not is_inside:
            return
        self.decisions += 1
        details = entry["details"]
        self.committed += bool((details.get("input") or {}).get("commitment"))
        trace = (details.get("decision") or {}).get("trace") or {}
        personal = (trace.get("signals") or {}).get("personal_data")
        for kind in personal if isinstance(personal, list) else ():
            self.found.count(kind)

    def add(self, seq: int, entry: Entry, is_inside: bool) -> None:
        if not is_inside:
            return
        kind = entry["kind"]
        if kind in ("payload.revealed", "review.revealed"):
            self.read.add(seq, entry)
        elif not kind.startswith("review."):
            self.erased.add(seq, entry)

    def section(self) -> dict[str, Any]:
        return section(
            self.name,
            self.title,
            "No prompt and no answer is in the trail or in this bundle. At most a keyed hash is, "
            "whose salt is destroyed when the text is erased.",
            [
                facts(
                    "Kept of requests",
                    [
                        ("Decisions in the period", f"{self.decisions:,}"),
                        ("with a commitment to their text", f"{self.committed:,}"),
                        ("without anything of it", f"{self.decisions - self.committed:,}"),
                    ],
                ),
                self.found.block(
                    "Personal data that the router noticed", "Kind of data", "Requests"
                ),
                self.read.block() or text("No stored text was read by a person in this period."),
                self.erased.block() or text("No stored text was erased in this period."),
            ],
        )
