"""Which data went where: the map of the period, drawn and in a table, from the entries alone."""

from __future__ import annotations

from typing import Any

from audit.reports.blocks import MOST_LISTED, Tally, picture, section, table, text
from audit.reports.pictures import flow_svg
from audit.reports.sections.base import Entry, Part
from audit.reports.sections.standing import Backends
from audit.reports.traffic import Brief

_FACTS = (
    ("processor", "run by"), ("processor_country", "in"), ("processor_contract", "contract"),
    ("processor_retention", "keeps"), ("processor_subprocessors", "sub-processors"),
)  # fmt: skip
_MOST_LINES = 14


class Flows(Part):
    name, title = "flows", "Data-flow map"
    wants = frozenset({"backend", "policy"})

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.backends = Backends()
        self.flows: dict[tuple[str, str, str, str], int] = {}
        self.nowhere = Tally()
        self.issued: tuple[int, Entry] | None = None

    def before(self, seq: int, entry: Entry) -> None:
        self.add(seq, entry, False)

    def add(self, seq: int, entry: Entry, is_inside: bool) -> None:
        self.backends.take(entry)
        if entry["kind"] == "data_flow.issued":
            self.issued = (seq, entry)

    def ended(self, seq: int, entry: Entry, brief: Brief | None, is_inside: bool) -> None:
        if not is_inside:
            return
        data_class = brief.data_class if brief else "(decided before)"
        route = brief.route if brief else str(entry["object"]["id"])
        attempts = entry["details"].get("attempts") or ()
        reached = {(str(one.get("backend")), str(one.get("boundary"))) for one in attempts}
        for backend, boundary in sorted(reached):
            key = (data_class, route, backend, boundary)
            if key in self.flows or len(self.flows) < MOST_LISTED:
                self.flows[key] = self.flows.get(key, 0) + 1
        if not reached:
            self.nowhere.count(data_class)

    def section(self) -> dict[str, Any]:
        return section(
            self.name,
            self.title,
            "Applications send requests to the router; the router sends them to backends. The "
            "figures are the requests of the period that reached a backend at least once.",
            [
                self._picture(),
                self._table(),
                self.nowhere.block("Requests that reached no backend", "Data class", "Requests"),
                self._backends(),
                self._document(),
            ],
        )

    def _table(self) -> Any:
        if not self.flows:
            return text("No request reached a backend in this period.")
        rows = [(*key, f"{n:,}") for key, n in sorted(self.flows.items())]
        columns = ("Data class", "Route", "Backend", "Boundary", "Requests#")
        return table("Observed flows", columns, rows)

    def _backends(self) -> Any:
        if not self.backends.known:
            return None
        rows = []
        for name, fields in sorted(self.backends.known.items()):
            facts = [f"{word} {fields[key]}" for key, word in _FACTS if fields.get(key)]
            classes = fields.get("data_classes")
            shown = ", ".join(map(str, classes)) if isinstance(classes, list) else "–"
            rows.append(
                (name, fields.get("tier") or "–", fields.get("boundary") or "–",
                 fields.get("region") or "–", shown, "; ".join(facts) or "–")
            )  # fmt: skip
        columns = ("Backend", "Tier", "Boundary", "Region", "May receive", "Processor")
        return table("Backends of the registry at the end of the bundle", columns, rows)

    def _document(self) -> Any:
        if self.issued is None:
            return text("No data-flow document had been issued.")
        seq, entry = self.issued
        return text(
            f"The data-flow document in force is version {entry['object']['id']}, issued by "
            f"{entry['actor']['name']} at {entry['at'][:19].replace('T', ' ')} UTC (entry {seq}), "
            f"digest {entry['details'].get('digest', 'not recorded')}."
        )

    def _picture(self) -> Any:
        if not self.flows:
            return None
        lines: dict[tuple[str, str, str], int] = {}
        for (data_class, _, backend, boundary), n in self.flows.items():
            key = (data_class, backend, boundary)
            lines[key] = lines.get(key, 0) + n
        shown = sorted(lines.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_LINES]
        says = "; ".join(
            f"{n:,} requests of {data_class} data to {backend} ({boundary})"
            for (data_class, backend, boundary), n in shown
        )
        return picture(flow_svg([(*key, n) for key, n in shown]), says)
