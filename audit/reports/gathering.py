"""Leads every entry past the parts of a report, once, in order and in bounded memory."""

from __future__ import annotations

from typing import Any

from audit.events import MADE, TERMINAL, group_of
from audit.reports import verify
from audit.reports.blocks import Finding, moment
from audit.reports.scope import Scope
from audit.reports.sections.access import Access
from audit.reports.sections.base import Entry, Part
from audit.reports.sections.completeness import Completeness
from audit.reports.sections.controls import Controls
from audit.reports.sections.crossings import Crossings
from audit.reports.sections.exceptions import exceptions
from audit.reports.sections.flows import Flows
from audit.reports.sections.incidents import Incidents
from audit.reports.sections.mix import Mix
from audit.reports.sections.policies import Policies
from audit.reports.sections.privacy import Privacy
from audit.reports.sections.proof import Proof
from audit.reports.sections.reviews import Reviews
from audit.reports.sections.sample import Sample
from audit.reports.sections.schema import Schema
from audit.reports.sections.shadows import Shadows
from audit.reports.traffic import Brief, Registries, brief_of

SCHEMA = "signalbox.report/2"


class Gathering:
    """Give it every entry of the cut in order, then ask for the report."""

    def __init__(self, scope: Scope, census: verify.Census) -> None:
        self._scope, self._period = scope, scope.period
        self._open: dict[str, Brief] = {}
        self._registries = Registries()
        self._policies = Policies(scope)
        self.parts: list[Part] = [
            Completeness(scope, census),
            Flows(scope),
            self._policies,
            Mix(scope),
            Crossings(scope),
            Reviews(scope),
            Shadows(scope),
            Incidents(scope),
            Access(scope),
            Privacy(scope),
            Proof(scope),
            Controls(scope),
            Sample(scope),
            Schema(scope),
        ]
        plain = Part
        self._made = [p for p in self.parts if type(p).made is not plain.made]
        self._ended = [p for p in self.parts if type(p).ended is not plain.ended]
        self._by_group: dict[str, list[Part]] = {}
        for one in scope.earlier:
            self._registries.learn(one.entry)
            for part in self.parts:
                part.before(one.seq, one.entry)

    def add(self, seq: int, entry: Entry) -> None:
        kind = entry["kind"]
        is_inside = self._period[0] <= entry["at"] < self._period[1]
        if kind == MADE:
            brief = brief_of(seq, entry, self._registries)
            self._open[entry["decision_id"]] = brief
            for part in self._made:
                part.made(seq, entry, brief, is_inside)
        elif kind in TERMINAL:
            known = self._open.pop(entry["decision_id"], None)
            for part in self._ended:
                part.ended(seq, entry, known, is_inside)
        else:
            self._registries.learn(entry)
            for part in self._interested(group_of(kind)):
                part.add(seq, entry, is_inside)

    def _interested(self, group: str) -> list[Part]:
        if group not in self._by_group:
            self._by_group[group] = [part for part in self.parts if group in part.wants]
        return self._by_group[group]

    def versions(self) -> list[dict[str, str]]:
        """The policy versions that were in force, for their documents."""
        return self._policies.named()

    def report(self) -> dict[str, Any]:
        """The whole report as plain JSON: cover, exceptions, then every part."""
        findings = [finding for part in self.parts for finding in part.findings()]
        titles = {part.name: part.title for part in self.parts}
        exceptional = sum(one.count for one in findings)
        scope = self._scope
        return {
            "schema": SCHEMA,
            "title": "Signalbox report",
            "heading": "What was decided, and who decided it",
            "lead": f"{moment(scope.period[0])} to {moment(scope.period[1])} UTC, end not "
            f"included. Log {scope.origin}.",
            "cover": self._cover(),
            "verification": self._verification(),
            "verdict": _verdict(findings),
            "exceptions": exceptional,
            "sections": [
                exceptions(findings, titles),
                *(part.section() for part in self.parts),
            ],
            "signed_for": ["Prepared by", "Received by"],
        }

    def _verification(self) -> list[list[str]]:
        scope = self._scope
        start, end = scope.cut.start, scope.cut.end
        return [
            ["Report", scope.report_id],
            ["Log", scope.origin],
            ["Key", scope.key_id],
            ["Start", f"{start.size:,} entries, signed {start.at:%Y-%m-%d %H:%M:%S} UTC"],
            ["Start root", start.root_hex],
            ["End", f"{end.size:,} entries, signed {end.at:%Y-%m-%d %H:%M:%S} UTC"],
            ["End root", end.root_hex],
            ["Sample seed", scope.seed or "the end root"],
            ["Check it", "python3 -I -S verify.py bundle.zip --key key.pub"],
        ]

    def _cover(self) -> dict[str, Any]:
        scope = self._scope
        return {
            "report_id": scope.report_id,
            "log": scope.origin,
            "key_id": scope.key_id,
            "period_from": scope.period[0],
            "period_to": scope.period[1],
            "is_over": scope.is_over,
            "seed": scope.sample_seed,
            "entries": scope.cut.entries,
            "start_size": scope.cut.start.size,
            "end_size": scope.cut.end.size,
            "end_root": scope.cut.end.root_hex,
        }


def _verdict(findings: list[Finding]) -> str:
    if not findings:
        return "No exception was found."
    kinds = "1 kind" if len(findings) == 1 else f"{len(findings)} kinds"
    return f"{kinds} of exception, {sum(one.count for one in findings):,} in all; they come first."
