"""What went wrong and what the router did about it: fallbacks, failures, outages, stops."""

from __future__ import annotations

from typing import Any, Final

from audit.reports.blocks import Finding, Listing, Tally, section, text
from audit.reports.sections.base import Entry, Part
from audit.reports.traffic import Brief

_ENDS: Final = frozenset({"decision.blocked", "decision.failed", "decision.outcome_unknown"})
_STOPS: Final = ("kill_switch.",)
_OUTAGES: Final = ("backend.health_changed", "backend.state_changed")
_LOG: Final = frozenset(
    {"log.event_withheld", "trail.verification_failed", "report.failed", "log.fork_refused",
     "log.gap_found", "log.anchor_failed"}
)  # fmt: skip


class Incidents(Part):
    name, title = "incidents", "Incidents, fallbacks and outages"
    wants = frozenset({"backend", "log", "policy"})

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.problems, self.fallbacks, self.errors, self.degraded = (
            Tally(), Tally(), Tally(), Tally(),
        )  # fmt: skip
        self.ends = Listing("Requests that were blocked, failed or have no known outcome")
        self.blocked = 0
        self.stops = Listing("Uses of the kill switch")
        self.outages = Listing("Changes of a backend's health or state")
        self.rollouts = Listing("Rollouts that were stopped, and their incidents")
        self.log = Listing("Faults of the trail itself")

    def made(self, seq: int, entry: Entry, brief: Brief, is_inside: bool) -> None:
        if not is_inside:
            return
        known = entry["details"].get("facts") or {}
        if known.get("classifier_failed"):
            self.degraded.count("the classifier did not answer")
        for signal in known.get("failed_signals") or ():
            self.degraded.count(f"the signal {signal} could not be measured")
        for killed in known.get("killed") or ():
            self.degraded.count(f"the kill switch was engaged for {killed}")

    def ended(self, seq: int, entry: Entry, brief: Brief | None, is_inside: bool) -> None:
        if not is_inside:
            return
        details = entry["details"]
        for one in details.get("attempts") or ():
            if problem := one.get("problem"):
                self.problems.count(f"{one.get('backend')}: {problem}")
            if (kind := one.get("kind")) not in ("first", None):
                self.fallbacks.count(f"{str(kind).replace('_', ' ')} to {one.get('backend')}")
        if code := details.get("error_code"):
            self.errors.count(code)
        if entry["kind"] in _ENDS:
            self.ends.add(seq, entry)
            self.blocked += entry["kind"] == "decision.blocked"

    def add(self, seq: int, entry: Entry, is_inside: bool) -> None:
        kind = entry["kind"]
        if not is_inside:
            return
        if kind.startswith(_STOPS):
            self.stops.add(seq, entry)
        elif kind == "rollout.aborted" or kind.startswith("incident."):
            self.rollouts.add(seq, entry)
        elif kind in _OUTAGES:
            self.outages.add(seq, entry)
        elif kind in _LOG or _is_bad_verification(entry):
            self.log.add(seq, entry)

    def findings(self) -> list[Finding]:
        found = [
            Finding(
                sentence="Requests blocked before they were sent",
                count=self.blocked,
                where=self.name,
            ),
            Finding(
                sentence="Rollouts that were stopped", count=self.rollouts.total, where=self.name
            ),
            Finding(sentence="Uses of the kill switch", count=self.stops.total, where=self.name),
            Finding(sentence="Faults of the trail itself", count=self.log.total, where=self.name),
        ]
        return [one for one in found if one.count]

    def section(self) -> dict[str, Any]:
        blocks = [
            self.problems.block("Problems of attempts", "Backend and problem", "Attempts"),
            self.fallbacks.block("Attempts after the first", "What", "Attempts"),
            self.errors.block("Error codes that clients got", "Code", "Requests"),
            self.degraded.block("Decisions made with less than everything", "Why", "Decisions"),
            self.stops.block(),
            self.rollouts.block(),
            self.outages.block(),
            self.log.block(),
            self.ends.block(),
        ]
        if not any(blocks):
            blocks = [text("No fault, fallback or outage was recorded in this period.")]
        return section(self.name, self.title, "", blocks)


def _is_bad_verification(entry: Entry) -> bool:
    return str(entry["kind"]) == "trail.verified" and str(entry["result"]) != "ok"
