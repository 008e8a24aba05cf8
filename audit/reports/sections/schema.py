"""What an entry looks like, so that a reader needs nothing but this page."""

from __future__ import annotations

from typing import Any, Final

from audit.events import GROUPS, KINDS
from audit.reports.blocks import section, table
from audit.reports.sections.base import Part

FIELDS: Final = (
    ("v", "number", "version of this schema: 1"),
    ("id", "text", "UUIDv7 of the event; a decision's end has its decision's id as version 8"),
    ("kind", "text", "what happened, as a stable code; see below"),
    ("at", "text", "when it was recorded: UTC, microseconds"),
    ("log", "text", "name of the log"),
    ("writer.id, writer.n", "text, number", "process that wrote it; n has no holes"),
    ("actor", "object", "kind (person, api_key, system), id, name frozen at the time, roles used"),
    ("object", "object", "type and id of what it happened to"),
    ("result", "text", "ok, denied or failed"),
    ("reason", "text", "what the person gave as reason"),
    ("corr", "object", "request_id, trace_id: what belongs to one request"),
    ("decision_id", "text", "the decision it is about"),
    ("diff", "list", "fields that changed, before and after; long values as digests"),
    ("before_digest, after_digest", "text", "SHA-256 of the whole state before and after"),
    ("details", "object", "what this kind adds; decimals are text, there are no floats"),
)
FILES: Final = (
    ("report.html, report.pdf", "this report for people; report.json: the same as data"),
    ("entries.jsonl", "every entry between the checkpoints, the exact bytes that were hashed"),
    ("events.csv", "the same as a table; cells that look like a formula begin with an apostrophe"),
    ("earlier.jsonl", "entries of before that still counted, each with its inclusion proof"),
    ("policies.jsonl", "the versions that were in force, the exact bytes of their digests"),
    ("checkpoint-*.txt, frontier-start.txt", "signed heads of the log and the way from the first"),
    ("manifest.json, manifest.note", "every file with its SHA-256, and the signature"),
    ("verify.py", "checks all of this with Python's standard library alone"),
)


class Schema(Part):
    name, title = "schema", "Schema of the entries and files"

    def section(self) -> dict[str, Any]:
        kinds = [
            (label, kind, one.sentence)
            for group, label in GROUPS.items()
            for kind, one in sorted(KINDS.items())
            if one.group == group
        ]
        return section(
            self.name,
            self.title,
            "An entry is canonical JSON (RFC 8785), one line of entries.jsonl. Its leaf is the "
            "SHA-256 of a zero byte and the line.",
            [
                table("Files of the bundle", ("File", "What it is"), FILES),
                table("Fields of an entry", ("Field", "Type", "Meaning"), FIELDS),
                table("Kinds and how they are worded", ("Group", "Kind", "Wording"), kinds),
            ],
        )
