"""The data-flow document for printing: the same facts as its page, in the blocks of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from audit.reports import printing
from audit.reports.blocks import Block, picture, section, table, text
from audit.reports.pictures import flow_svg
from routing.models import DataFlowIssue
from routing.queries import data_flow as queries

_MOST_LINES = 14


def as_pdf(
    document: Mapping[str, Any], digest: str, *, at: datetime, issue: DataFlowIssue | None
) -> bytes:
    """An issued version, or the document as it is now; every page carries number and digest."""
    before = queries.previous_of(issue) if issue else queries.latest()
    report = _report(document, at, issue, before)
    return printing.compiled(
        "report.typ", {"report": report, "digest": digest.removeprefix("sha256:")}, at
    )


def _report(
    document: Mapping[str, Any],
    at: datetime,
    issue: DataFlowIssue | None,
    before: DataFlowIssue | None,
) -> dict[str, Any]:
    shown = queries.shown(document)
    number = f"version {issue.number}" if issue else "as it is now, not issued"
    wrong = shown.not_permitted
    return {
        "title": "Data-flow document",
        "heading": "Data flow",
        "lead": "Which data may go to which backend, by whose word, how long it is kept and which "
        "rule sees to it.",
        "cover": {"report_id": number, "log": "Signalbox"},
        "verification": [
            ["Document", number],
            ["Made", f"{at:%Y-%m-%d %H:%M:%S} UTC"],
            ["Issued by", str(issue.issued_by) if issue else "nobody yet"],
            ["Issued for", issue.note if issue else "–"],
            ["Source", "generated from the registry, the active policies and the sign-offs"],
        ],
        "verdict": f"{wrong} observed ways are not permitted." if wrong else
        "Nothing was observed in 30 days that is not permitted.",
        "exceptions": wrong,
        "sections": [
            section("drawing", "Drawing", "", _drawing(shown)),
            *(_class(group) for group in shown.groups),
            section("processors", "Processors", "Companies that run public backends.",
                    _processors(document)),
            section("routes", "Routes", "", _routes(document)),
            section("changes", _since(before), "", _changes(document, before)),
        ],
        "signed_for": ["Information security", "Data protection"],
    }  # fmt: skip


def _drawing(shown: queries.Shown) -> list[Block]:
    counts: dict[tuple[str, str, str], int] = {}
    for row in shown.rows:
        flow = row.flow
        key = (flow["data_class"], flow["backend"], flow["boundary"] or "private")
        counts[key] = counts.get(key, 0) + row.observed
    lines = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_LINES]
    if not lines:
        return [text("No active policy sends anything anywhere.")]
    return [
        picture(flow_svg([(*key, n) for key, n in lines]), shown.picture.sentence),
        text(shown.picture.sentence),
    ]


def _class(group: queries.Group) -> dict[str, Any]:
    rows, bad = [], []
    for at, row in enumerate(group.rows):
        flow, signoff = row.flow, row.flow.get("signoff")
        word = (
            f"number {signoff['number']}, {signoff['risk_reference']}, to {row.valid_to:%Y-%m-%d}"
            if signoff
            else ("none" if flow["boundary"] == "public" else "not needed")
        )
        kept = flow.get("kept_here") or "–"
        if flow.get("kept_there"):
            kept += f"; at the processor: {flow['kept_there']}"
        rows.append(
            (flow["backend"], flow["boundary"] or "not recorded", flow.get("region") or "–",
             flow["route"], word, kept,
             "; ".join(row.ways) if row.is_permitted else "not permitted", f"{row.observed:,}")
        )  # fmt: skip
        if not row.is_permitted:
            bad.append(at)
    columns = (
        "Backend", "Boundary", "Region", "Route", "Sign-off", "Kept", "Enforced by", "In 30 days#",
    )  # fmt: skip
    name = group.data_class
    blocks: list[Block] = (
        [table(f"Where {name} data may go", columns, rows, bad=bad)]
        if rows
        else [text("No active policy sends it anywhere, and none was observed.")]
    )
    if group.closed:
        kept_from = ", ".join(f"{one['backend']} ({one['why']})" for one in group.closed)
        blocks.append(text(f"Kept from: {kept_from}."))
    says = "May leave the company." if group.is_public else "Never leaves the company."
    return section(f"class-{name}", f"{name.capitalize()} data", says, blocks)


def _processors(document: Mapping[str, Any]) -> list[Block]:
    rows = [
        tuple(one.get(name) or "not stated" for name in
              ("backend", "processor", "country", "contract", "retention", "subprocessors",
               "contact"))
        for one in document["processors"]
    ]  # fmt: skip
    if not rows:
        return [text("There is no public backend.")]
    columns = (
        "Backend", "Company", "Country", "Contract", "Keeps", "Sub-processors", "Contact",
    )  # fmt: skip
    return [table("Processors", columns, rows)]


def _routes(document: Mapping[str, Any]) -> list[Block]:
    rows = [
        (one["route"], one["purpose"] or "not stated", one["owner"], one["floor"], one["kept"],
         one["policy"] or "none", str(one["keys"]), str(one["keys_for_public"]))
        for one in document["routes"]
    ]  # fmt: skip
    columns = (
        "Route", "Purpose", "Owner", "Lowest class", "Kept here", "Policy", "Keys#",
        "for public#",
    )  # fmt: skip
    return [table("Routes", columns, rows)] if rows else [text("There is no route.")]


def _since(before: DataFlowIssue | None) -> str:
    return f"Changes since version {before.number}" if before else "Changes"


def _changes(document: Mapping[str, Any], before: DataFlowIssue | None) -> list[Block]:
    if before is None:
        return [text("No version was issued before.")]
    found = list(_sentences(before.document, document))
    return [table("Differences", ("Kind", "What"), found)] if found else [text("None.")]


def _sentences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in queries.differences(old, new):
        yield one.kind, one.sentence
