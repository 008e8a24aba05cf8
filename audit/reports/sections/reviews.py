"""What people decided, in time or not, and signs that they only said yes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from audit.reports.blocks import (
    MOST_NAMES,
    OTHERS,
    Finding,
    Listing,
    Spread,
    Tally,
    section,
    share,
    table,
    text,
)
from audit.reports.sections.base import Entry, Part

# Below this a share says nothing; above it, only yes or only seconds is worth a look.
ENOUGH: Final = 10
QUICK_MS: Final = 5_000
_OVERRIDES: Final = frozenset({"edit", "choose", "safe_default", "refuse"})


@dataclass(slots=True)
class Reviewer:
    decided: int = 0
    approved: int = 0
    disagreed: int = 0
    open_ms: Spread = field(default_factory=Spread)
    quick: int = 0

    @property
    def signals(self) -> list[str]:
        if self.decided < ENOUGH:
            return []
        half = self.open_ms.at(0.5)
        found = []
        if self.approved == self.decided:
            found.append("approved everything")
        if half is not None and half < QUICK_MS:
            found.append("half of the cases open for less than 5 s")
        return found


class Reviews(Part):
    name, title = "reviews", "Human review, deadlines and overrides"
    wants = frozenset({"review"})

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.kinds, self.verdicts, self.reasons = Tally(), Tally(), Tally()
        self.queues: dict[str, Tally] = {}
        self.reviewers: dict[str, Reviewer] = {}
        self.expired = Listing("Deadlines that passed without a verdict")
        self.overrides = Listing("Verdicts that changed or refused an answer")

    def add(self, seq: int, entry: Entry, is_inside: bool) -> None:
        if not is_inside:
            return
        kind, details = entry["kind"], entry["details"]
        self.kinds.count(kind)
        queue = self.queues.setdefault(str(details.get("queue") or "(none)"), Tally())
        queue.count(kind)
        if kind == "review.expired":
            self.expired.add(seq, entry)
        elif kind == "review.decided":
            self._decided(seq, entry)
        elif kind == "review.disagreed":
            self._reviewer(entry).disagreed += 1

    def _reviewer(self, entry: Entry) -> Reviewer:
        name = str(entry["actor"]["name"])
        key = name if name in self.reviewers or len(self.reviewers) < MOST_NAMES else OTHERS
        return self.reviewers.setdefault(key, Reviewer())

    def _decided(self, seq: int, entry: Entry) -> None:
        details, reviewer = entry["details"], self._reviewer(entry)
        verdict = str(details.get("verdict") or details.get("kind") or "decided")
        self.verdicts.count(verdict.replace("_", " "))
        reviewer.decided += 1
        reviewer.approved += verdict == "approve"
        if isinstance(open_ms := details.get("open_ms"), int):
            reviewer.open_ms.add(open_ms)
            reviewer.quick += open_ms < QUICK_MS
        if verdict in _OVERRIDES:
            self.overrides.add(seq, entry)
            self.reasons.count(details.get("reason_code") or "no code")

    def signals(self) -> list[tuple[str, str]]:
        return [
            (name, sign)
            for name, reviewer in sorted(self.reviewers.items())
            for sign in reviewer.signals
        ]

    def findings(self) -> list[Finding]:
        found = [
            Finding(
                sentence="Cases whose deadline passed without a verdict",
                count=self.expired.total,
                where=self.name,
            ),
            Finding(
                sentence="Signs of automation bias among reviewers",
                count=len(self.signals()),
                where=self.name,
            ),
        ]
        return [one for one in found if one.count]

    def section(self) -> dict[str, Any]:
        if not self.kinds:
            return section(
                self.name, self.title, "", [text("No case was opened or decided in this period.")]
            )
        return section(
            self.name,
            self.title,
            "A held request waits for a person; when nobody comes in time, its policy says what "
            "happens. An override is a verdict other than approval of the drafted answer.",
            [
                self._queues(),
                self.verdicts.block("Verdicts", "Verdict", "Cases"),
                self.reasons.block("Why answers were changed or refused", "Reason", "Cases"),
                self._reviewers(),
                self._signals(),
                self.expired.block(),
                self.overrides.block(),
            ],
        )

    def _queues(self) -> Any:
        rows = []
        for name, tally in sorted(self.queues.items()):
            opened, decided = tally["review.opened"], tally["review.decided"]
            expired = tally["review.expired"]
            rows.append(
                (name, f"{opened:,}", f"{decided:,}", share(decided, decided + expired),
                 f"{expired:,}", f"{tally['review.escalated']:,}",
                 f"{tally['review.disagreed']:,}",
                 f"{tally['review.superseded'] + tally['review.cancelled']:,}")
            )  # fmt: skip
        columns = (
            "Queue", "Opened#", "Decided#", "In time#", "Expired#", "Raised#", "Disagreed#",
            "Withdrawn#",
        )  # fmt: skip
        return table("Cases by queue", columns, rows)

    def _reviewers(self) -> Any:
        if not self.reviewers:
            return None
        rows = [
            (name, f"{one.decided:,}", share(one.approved, one.decided),
             _seconds(one.open_ms.at(0.5)), f"{one.quick:,}", f"{one.disagreed:,}",
             "; ".join(one.signals) or "–")
            for name, one in sorted(self.reviewers.items())
        ]  # fmt: skip
        columns = (
            "Reviewer", "Decided#", "Approved#", "Open, half#", "Under 5 s#", "Second looks apart#",
            "Signals",
        )  # fmt: skip
        bad = [at for at, (_, one) in enumerate(sorted(self.reviewers.items())) if one.signals]
        return table("Reviewers", columns, rows, bad=bad)

    def _signals(self) -> Any:
        if found := self.signals():
            return text(
                "Signs of automation bias, to be looked at by a lead reviewer: "
                + "; ".join(f"{name}: {sign}" for name, sign in found)
                + ".",
                "bad",
            )
        return text(
            f"No sign of automation bias: nobody with {ENOUGH} or more verdicts approved "
            "everything, and nobody's cases were open for less than 5 seconds at the half."
        )


def _seconds(open_ms: int | None) -> str:
    return "–" if open_ms is None else f"{open_ms / 1000:.1f} s"
