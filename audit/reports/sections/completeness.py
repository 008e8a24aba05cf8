"""Whether everything is here: decisions, outcomes, writers, and what this cannot show."""

from __future__ import annotations

from typing import Any

from audit.events import GROUPS, group_of
from audit.reports.blocks import Finding, Spread, facts, heading, section, table, text
from audit.reports.sections.base import Entry, Part
from audit.reports.traffic import Brief, seconds

NOT_SHOWN = (
    "That what was recorded is true: a compromised gateway can write a false entry. Compare with "
    "the providers' invoices and their request ids, which the entries hold.",
    "That no other log was shown to somebody else: compare the checkpoints with those you "
    "received earlier by another way.",
    "That nothing was lost in the last fraction of a second before a checkpoint, if an "
    "administrator removed events together with everything their writer wrote after them.",
    "Anything about texts that were not kept or were erased, beyond their commitment.",
)


class Completeness(Part):
    name, title = "completeness", "Completeness, and what it does not prove"

    def __init__(self, scope: Any, census: Any) -> None:
        super().__init__(scope)
        self._census = census
        self._unknown = 0
        self._open_for = Spread()

    def ended(self, seq: int, entry: Entry, brief: Brief | None, is_inside: bool) -> None:
        if not is_inside:
            return
        self._unknown += entry["kind"] == "decision.outcome_unknown"
        if brief is not None:
            self._open_for.add(max(0, seconds(entry["at"]) - seconds(brief.at)))

    def findings(self) -> list[Finding]:
        counts = self._census.counts()
        found = [
            Finding(
                sentence="Decisions whose outcome is not known",
                count=self._unknown,
                where=self.name,
            ),
            Finding(
                sentence="Decisions of the bundle without an end at its last entry",
                count=counts["open_at_end"],
                where=self.name,
            ),
            Finding(
                sentence="Writers that skip a number inside the bundle",
                count=self._census.holes(),
                where=self.name,
            ),
        ]
        if not self.scope.is_over:
            found.append(
                Finding(
                    sentence="The period was not over when the log was last signed",
                    count=1,
                    where=self.name,
                )
            )
        return [one for one in found if one.count]

    def section(self) -> dict[str, Any]:
        cut, counts = self.scope.cut, self._census.counts()
        return section(
            self.name,
            self.title,
            "Every entry between two signed checkpoints is in the bundle, so nothing of the period "
            "can have been left out without the verifier saying so.",
            [
                facts(
                    "What was counted",
                    [
                        ("Entries in the bundle", f"{cut.entries:,}"),
                        ("of them in the period", f"{counts['entries_in_period']:,}"),
                        (
                            "before or after it, between the checkpoints",
                            f"{cut.entries - counts['entries_in_period']:,}",
                        ),
                        ("Decisions made in the period", f"{counts['decisions']:,}"),
                        ("Outcomes recorded in the period", f"{counts['outcomes']:,}"),
                        ("Outcome unknown", f"{self._unknown:,}"),
                        ("Still open at the end of the bundle", f"{counts['open_at_end']:,}"),
                        ("Writers", f"{len(self._census.writers):,}"),
                        ("Writers that skip a number", f"{self._census.holes():,}"),
                    ],
                ),
                self._over(),
                heading("What this does not prove"),
                *(text(sentence) for sentence in NOT_SHOWN),
                *self._kinds(counts["kinds"]),
            ],
        )

    def _over(self) -> Any:
        at = f"{self.scope.cut.end.at:%Y-%m-%d %H:%M:%S} UTC"
        if self.scope.is_over:
            return text(
                f"The log was signed at {at}, after the period ended: the bundle holds every "
                "entry that had been recorded of it.",
                "good",
            )
        return text(
            f"The period was not over when this report was made: it is complete only until {at}.",
            "bad",
        )

    def _kinds(self, kinds: dict[str, int]) -> list[Any]:
        rows = [
            (label, kind, f"{number:,}")
            for group, label in GROUPS.items()
            for kind, number in kinds.items()
            if group_of(kind) == group
        ]
        if not rows:
            return []
        return [table("Entries of the period by kind", ("Group", "Kind", "Entries#"), rows)]
