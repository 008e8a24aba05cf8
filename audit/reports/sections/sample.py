"""A sample that nobody could steer: the entries with the smallest hash under a printed seed."""

from __future__ import annotations

import heapq
from hashlib import sha256
from typing import Any, Final

from audit.events import group_of, words
from audit.reports.blocks import heading, moment, section, table, text, who, without_empty
from audit.reports.sections.base import Entry, Part
from audit.reports.traffic import Brief

SIZE: Final = 25
POPULATIONS: Final = {
    "decisions": "Decisions",
    "crossings": "Decisions for a public backend",
    "reviews": "Verdicts of reviewers",
    "acts": "Acts of people",
}
_COLUMNS: Final = ("Entry#", "Time, UTC", "What", "Who", "Reason", "Event")


def rank(seed: str, event_id: str) -> str:
    """The place of an entry in the order of a seed. verify.py --sample computes the same."""
    return sha256(f"{seed}\n{event_id}".encode()).hexdigest()


class Sample(Part):
    name, title = "sample", "The auditor's sample"
    wants = frozenset({"review", "policy", "backend", "access", "privacy", "log"})

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.sizes = dict.fromkeys(POPULATIONS, 0)
        self._kept: dict[str, list[tuple[int, int, tuple[str, ...]]]] = {
            name: [] for name in POPULATIONS
        }

    def made(self, seq: int, entry: Entry, brief: Brief, is_inside: bool) -> None:
        if is_inside:
            self._offer("decisions", seq, entry)
            if brief.boundary == "public":
                self._offer("crossings", seq, entry)

    def add(self, seq: int, entry: Entry, is_inside: bool) -> None:
        if not is_inside or entry["actor"]["kind"] != "person":
            return
        if entry["kind"] == "review.decided":
            self._offer("reviews", seq, entry)
        elif group_of(entry["kind"]) != "review":
            self._offer("acts", seq, entry)

    def _offer(self, population: str, seq: int, entry: Entry) -> None:
        self.sizes[population] += 1
        kept = self._kept[population]
        # A heap of the largest first: its top is the next to go.
        place = -int(rank(self.scope.sample_seed, entry["id"])[:16], 16)
        if len(kept) == SIZE and place <= kept[0][0]:
            return
        row = (
            str(seq), moment(entry["at"]), words(entry), who(entry), entry["reason"], entry["id"],
        )  # fmt: skip
        push = heapq.heappush if len(kept) < SIZE else heapq.heapreplace
        push(kept, (place, seq, row))

    def section(self) -> dict[str, Any]:
        blocks: list[Any] = [text(f"Seed: {self.scope.sample_seed}")]
        for population, label in POPULATIONS.items():
            rows = [row for _, _, row in sorted(self._kept[population], reverse=True)]
            blocks.append(heading(f"{label}: {len(rows)} of {self.sizes[population]:,}"))
            if rows:
                columns, shown = without_empty(_COLUMNS, rows)
                blocks.append(table(f"Sample of: {label.lower()}", columns, shown))
            else:
                blocks.append(text("None in this period."))
        return section(
            self.name,
            self.title,
            f"Of each population the {SIZE} entries with the smallest SHA-256 of the seed, a "
            "newline and the event's id. Without a seed of the auditor it is the end root, which "
            "nobody knew before the period was over.",
            blocks,
        )
