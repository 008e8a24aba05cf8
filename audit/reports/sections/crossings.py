"""Every request that went to a public backend, and the sign-off under which it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audit.reports.blocks import Finding, Listing, moment, section, table, text
from audit.reports.sections.base import Entry, Part
from audit.reports.sections.standing import SignOffs
from audit.reports.traffic import Brief, seconds


@dataclass(slots=True)
class Crossing:
    count: int = 0
    without: int = 0
    unjudged: int = 0
    first: str = ""
    last: str = ""


class Crossings(Part):
    name, title = "crossings", "Crossings to public backends"
    wants = frozenset({"backend"})

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.signoffs = SignOffs()
        self.seen: dict[tuple[str, str], Crossing] = {}
        self.without = Listing("Crossings without a sign-off")
        self.acts = Listing("What was decided about sign-offs in the period")

    @property
    def total(self) -> int:
        return sum(one.count for one in self.seen.values())

    def before(self, seq: int, entry: Entry) -> None:
        self.signoffs.take(seq, entry)

    def add(self, seq: int, entry: Entry, is_inside: bool) -> None:
        if entry["kind"].startswith("signoff."):
            self.signoffs.take(seq, entry)
            if is_inside:
                self.acts.add(seq, entry)

    def ended(self, seq: int, entry: Entry, brief: Brief | None, is_inside: bool) -> None:
        if not is_inside:
            return
        for backend in _public_backends(entry, brief):
            self._crossed(backend, seq, entry, brief)

    def _crossed(self, backend: str, seq: int, entry: Entry, brief: Brief | None) -> None:
        data_class = brief.data_class if brief else "(decided before this bundle)"
        at = brief.at if brief else entry["at"]
        one = self.seen.setdefault((data_class, backend), Crossing())
        one.count += 1
        one.first = min(one.first or at, at)
        one.last = max(one.last, at)
        if brief is None:
            one.unjudged += 1
        elif not self._is_signed_off(backend, brief):
            one.without += 1
            self.without.add(seq, entry)

    def _is_signed_off(self, backend: str, brief: Brief) -> bool:
        # The registry inside the decision is what the gateway went by; the sign-offs' own entries
        # are asked where a decision does not carry it.
        if brief.until_s is not None:
            return seconds(brief.at) < brief.until_s.get(backend, 0)
        return self.signoffs.of(backend, brief.data_class, brief.at) is not None

    def findings(self) -> list[Finding]:
        found = [
            Finding(
                sentence="Requests that went to a public backend without a sign-off",
                count=self.without.total,
                where=self.name,
            ),
            Finding(
                sentence="Crossings whose decision was made before this bundle begins",
                count=sum(one.unjudged for one in self.seen.values()),
                where=self.name,
            ),
        ]
        return [one for one in found if one.count]

    def section(self) -> dict[str, Any]:
        verdict = text(
            f"Crossings without a sign-off: {self.without.total:,} of {self.total:,}.",
            "bad" if self.without.total else "good",
        )
        return section(
            self.name,
            self.title,
            "A crossing is one attempt at a public backend. It counts as signed off when a "
            "sign-off for its data class and backend stood when the request was decided.",
            [
                verdict,
                self._table(),
                self.without.block(),
                self._signoffs(),
                self.acts.block(),
            ],
        )

    def _table(self) -> Any:
        if not self.seen:
            return text("No request went to a public backend in this period.")
        rows, bad = [], []
        for at, ((data_class, backend), one) in enumerate(sorted(self.seen.items())):
            numbers = [
                found.number
                for found in self.signoffs.known.values()
                if (found.backend, found.data_class) == (backend, data_class)
                and found.granted_at <= one.last
                and (not found.ended or found.ended >= one.first)
            ]
            rows.append(
                (data_class, backend, f"{one.count:,}", ", ".join(numbers) or "–",
                 f"{one.without:,}", moment(one.first), moment(one.last))
            )  # fmt: skip
            if one.without:
                bad.append(at)
        columns = (
            "Data class", "Backend", "Crossings#", "Sign-offs", "Without#", "First, UTC",
            "Last, UTC",
        )  # fmt: skip
        return table("Crossings by data class and backend", columns, rows, bad=bad)

    def _signoffs(self) -> Any:
        start = self.scope.period[0]
        rows = [
            (one.number, one.backend, one.data_class, one.granted_by, moment(one.granted_at),
             moment(one.valid_to), f"{one.ended_how} {moment(one.ended)}".strip() or "stands",
             one.reason, one.seq)
            for one in sorted(self.signoffs.known.values(), key=lambda one: one.seq)
            if not one.ended or one.ended >= start
        ]  # fmt: skip
        if not rows:
            return text("No sign-off stood in this period.")
        columns = (
            "Number", "Backend", "Data class", "Granted by", "At, UTC", "Until, UTC", "Now",
            "Reason", "Entry#",
        )  # fmt: skip
        return table("Sign-offs that stood in the period", columns, rows)


def _public_backends(entry: Entry, brief: Brief | None) -> list[str]:
    """Where the text went, attempt by attempt; an unknown end counts as if it had gone."""
    details = entry["details"]
    attempts = details.get("attempts") or ()
    found = [str(one.get("backend")) for one in attempts if one.get("boundary") == "public"]
    is_unknown = entry["kind"] == "decision.outcome_unknown"
    if not found and is_unknown and brief is not None and brief.boundary == "public":
        return [str(details.get("backend") or "(not known)")]
    return found
