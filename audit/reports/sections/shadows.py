"""Candidates that decided beside the active version, and those that took its place."""

from __future__ import annotations

from typing import Any, Final

import orjson

from audit.reports.blocks import MOST_LISTED, Finding, Listing, moment, section, table, text
from audit.reports.sections.base import Entry, Part

_WORDS: Final = ("shadow", "promot", "rollout", "candidate", "gate")
_MOST_EVIDENCE: Final = 600


class Shadows(Part):
    """Read by the kind alone: whatever kinds a release adds under these words is shown."""

    name, title = "shadows", "Shadow policies and promotions"
    wants = frozenset({"policy", "log", "decision", "backend", "review", "access", "privacy"})

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.acts = Listing("Shadow runs, gates, rollouts and promotions")
        self.evidence: list[tuple[str, ...]] = []
        self.promoted = 0
        self.authors: dict[str, set[str]] = {}
        self.own = Listing("Promotions by the version's own author")

    def before(self, seq: int, entry: Entry) -> None:
        self._author(entry)

    def _author(self, entry: Entry) -> None:
        if entry["kind"] in ("policy.drafted", "policy.edited", "policy.submitted"):
            authors = self.authors.setdefault(str(entry["object"]["id"]), set())
            authors.add(entry["actor"]["name"])

    def add(self, seq: int, entry: Entry, is_inside: bool) -> None:
        self._author(entry)
        kind = entry["kind"]
        if not is_inside or not any(word in kind for word in _WORDS):
            return
        self.acts.add(seq, entry)
        if "promoted" in kind:
            self.promoted += 1
            thing = str(entry["object"]["id"])
            if entry["actor"]["name"] in self.authors.get(thing, ()):
                self.own.add(seq, entry)
        if entry["details"] and len(self.evidence) < MOST_LISTED:
            said = orjson.dumps(entry["details"], option=orjson.OPT_SORT_KEYS).decode()
            shown = said if len(said) <= _MOST_EVIDENCE else said[:_MOST_EVIDENCE] + " …"
            self.evidence.append((str(seq), moment(entry["at"]), kind, shown))

    def findings(self) -> list[Finding]:
        if not self.own.total:
            return []
        return [
            Finding(
                sentence="Promotions by the author of the version",
                count=self.own.total,
                where=self.name,
            )
        ]

    def section(self) -> dict[str, Any]:
        if not self.acts.total:
            return section(
                self.name,
                self.title,
                "",
                [text("No shadow run, gate, rollout or promotion was recorded in this period.")],
            )
        return section(
            self.name,
            self.title,
            f"Promotions in the period: {self.promoted:,}. The evidence is what the entry froze at "
            "that moment; the whole of it is in entries.jsonl.",
            [
                self.own.block(),
                self.acts.block(),
                table("Evidence as recorded", ("Entry#", "Time, UTC", "Act", "Evidence"),
                      self.evidence) if self.evidence else None,
            ],
        )  # fmt: skip
