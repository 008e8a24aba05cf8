"""The evidence of one decision: every entry about it, each with its proof under one signed head."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.template.loader import render_to_string

from audit import keys, queries
from audit.actors import Actor
from audit.errors import LedgerFault
from audit.events import MADE, TERMINAL, words
from audit.ledger import record
from audit.models import Checkpoint, Event, Leaf
from audit.reports import printing, verify
from audit.reports.blocks import Block, facts, moment, section, table, text, who, without_empty
from audit.reports.sealed import Sealed, program, proven_line
from screens.errors import NotFound

ABOUT: Final = "Evidence of one decision"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is proven of a decision. ``waiting`` entries have no place in the tree yet."""

    decision_id: UUID
    head: Checkpoint
    entries: list[tuple[int, Event]]
    waiting: int
    report: dict[str, Any]

    @property
    def name(self) -> str:
        return f"evidence-{self.decision_id}"


def evidence_of(decision_id: UUID) -> Evidence:
    """Raises NotFound when nothing about this decision is in the tree."""
    events = queries.events_of_decision(decision_id)
    head = Checkpoint.objects.order_by("-size").first()
    places = dict(
        Leaf.objects.filter(event_id__in=[one.pk for one in events]).values_list("event_id", "seq")
    )
    if head is None or not any(one.kind == MADE and one.pk in places for one in events):
        raise NotFound(
            "There is no evidence of this decision yet.",
            code="no_evidence",
            what_next="A new decision gets its place in the tree within a second; look again.",
        )
    placed = sorted(
        ((places[one.pk], one) for one in events if places.get(one.pk, head.size) < head.size),
        key=lambda pair: pair[0],
    )
    return Evidence(
        decision_id=decision_id,
        head=head,
        entries=placed,
        waiting=len(events) - len(placed),
        report=_report(decision_id, head, placed),
    )


def take(*, evidence: Evidence, form: str, by: Actor) -> tuple[IO[bytes], str]:
    """The evidence as ``zip`` or ``pdf``, and its digest; that it was taken is recorded."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    if form == "zip":
        _write(file, evidence)
    else:
        file.write(printing.all_of(evidence.report, evidence.head.at)["pdf"])
    file.seek(0)
    digest = "sha256:" + sha256(file.read()).hexdigest()
    file.seek(0)
    with transaction.atomic():
        record(
            "evidence.taken",
            by=by,
            object_type="decision",
            object_id=evidence.decision_id,
            details={"format": form, "digest": digest, "size": evidence.head.size},
        )
    return file, digest


def _write(file: IO[bytes], evidence: Evidence) -> None:
    signer = keys.signer()
    origin = signer.verifier.name
    if evidence.head.note.split("\n", 1)[0] != origin:
        raise LedgerFault("the newest checkpoint belongs to another log than the signing key")
    with Sealed(file, signer) as sealed:
        context = {"evidence": evidence, "origin": origin}
        sealed.add("README.txt", render_to_string("audit/bundle/EVIDENCE.txt", context).encode())
        sealed.add("checkpoint.txt", evidence.head.note.encode())
        for ending, content in printing.all_of(evidence.report, evidence.head.at).items():
            sealed.add(f"evidence.{ending}", content)
        sealed.add("proven.jsonl", b"".join(_lines(evidence)))
        sealed.add("verify.py", program())
        sealed.sign(
            {
                "format": verify.EVIDENCE,
                "decision_id": str(evidence.decision_id),
                "size": evidence.head.size,
                "kinds": [one.kind for _, one in evidence.entries],
            }
        )


def _lines(evidence: Evidence) -> Iterator[bytes]:
    with connection.cursor() as cursor:
        for seq, event in evidence.entries:
            yield proven_line(cursor, seq, evidence.head.size, bytes(event.body))


def _report(decision_id: UUID, head: Checkpoint, placed: list[tuple[int, Event]]) -> dict[str, Any]:
    entries = [(seq, event.entry) for seq, event in placed]
    made = next(entry for _, entry in entries if entry["kind"] == MADE)
    end = next((entry for _, entry in entries if entry["kind"] in TERMINAL), None)
    identity = "SBE-" + sha256(f"{decision_id}\n{head.size}".encode()).hexdigest()[:12]
    return {
        "schema": "signalbox.evidence/1",
        "title": ABOUT,
        "heading": ABOUT,
        "lead": f"Decision {decision_id}, made {moment(made['at'])} UTC.",
        "cover": {"report_id": identity, "log": made["log"], "decision_id": str(decision_id)},
        "verification": [
            ["Evidence", identity],
            ["Log", made["log"]],
            ["Signed head", f"{head.size:,} entries, signed {head.at:%Y-%m-%d %H:%M:%S} UTC"],
            ["Root", head.root_hex],
            ["Check it", "python3 -I -S verify.py evidence.zip --key key.pub"],
        ],
        "verdict": "",
        "exceptions": 0,
        "sections": [
            section("decision", "What was decided, and why", "", _decision(made)),
            section("outcome", "What became of it", "", _outcome(end, entries)),
            section("entries", "The entries and their place in the log", "", _entries(placed)),
        ],
        "signed_for": ["Prepared by", "Received by"],
    }


def _decision(made: dict[str, Any]) -> list[Block]:
    details = made["details"]
    decision, client = details.get("decision") or {}, details.get("client") or {}
    trace = decision.get("trace") or {}
    given = details.get("input") or {}
    blocks = [
        text(str(decision.get("sentence") or "No sentence was recorded.")),
        facts(
            "The request",
            [
                ("Client", f"{client.get('name', '')} ({client.get('owner', '')})"),
                ("Route", details.get("route", "")),
                ("Request id", made["corr"]["request_id"]),
                ("Received", moment(str(details.get("received_at", "")))),
                ("Endpoint", details.get("endpoint", "")),
                ("Size", f"{given.get('bytes', '–')} bytes, {given.get('messages', '–')} messages"),
                ("Commitment to its text", given.get("commitment") or "none kept"),
            ],
        ),
        facts(
            "The decision",
            [
                ("Policy", details.get("policy", "")),
                ("Digest of the policy", details.get("policy_digest", "")),
                ("Rule", decision.get("rule") or "the default"),
                ("Data class", decision.get("data_class") or "–"),
                ("Act", decision.get("action") or "–"),
                ("Backend", decision.get("backend") or "none"),
                ("Boundary", decision.get("boundary") or "–"),
                ("Behind it", ", ".join(map(str, decision.get("plan") or ())) or "nothing"),
            ],
        ),
    ]
    signals = [
        (name.replace("_", " "), _said(value))
        for name, value in sorted((trace.get("signals") or {}).items())
    ]
    rules = [
        (str(one.get("name")), str(one.get("state")).replace("_", " "), _failing(one))
        for one in trace.get("rules") or ()
    ]
    candidates = [
        (str(one.get("name")), str(one.get("boundary")), str(one.get("verdict")),
         str(one.get("reason") or "").replace("_", " "))
        for one in trace.get("candidates") or ()
    ]  # fmt: skip
    if signals:
        blocks.append(table("What was measured", ("Signal", "Value"), signals))
    if rules:
        columns = ("Rule", "Result", "Because")
        blocks.append(table("Rules, in their order", columns, rules))
    if candidates:
        columns = ("Backend", "Boundary", "Verdict", "Reason")
        blocks.append(table("Backends that were weighed", columns, candidates))
    return blocks


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not known" if value is None else str(value)


def _failing(rule: dict[str, Any]) -> str:
    failing = rule.get("failing") or {}
    if not failing:
        return ""
    parts = (
        failing.get("signal"), str(failing.get("operator")).replace("_", " "),
        _said(failing.get("constant")) + ";", "observed", _said(failing.get("observed")),
    )  # fmt: skip
    return " ".join(str(part).replace("_", " ") for part in parts)


def _outcome(end: dict[str, Any] | None, entries: list[tuple[int, dict[str, Any]]]) -> list[Block]:
    if end is None:
        return [text("Its end was not recorded before this head was signed.", "bad")]
    details = end["details"]
    blocks = [
        text(words(end)),
        facts(
            "The end",
            [
                ("Kind", end["kind"]),
                ("At", f"{moment(end['at'])} UTC"),
                ("Backend", details.get("backend") or "none"),
                ("Boundary", details.get("boundary") or "–"),
                ("Tokens in, out", f"{_said(details.get('input_tokens'))}, "
                                   f"{_said(details.get('output_tokens'))}"),
                ("Cost, USD", details.get("cost_usd") or "–"),
                ("Whole time, ms", _said(details.get("total_ms"))),
                ("Error code", details.get("error_code") or "none"),
                ("Commitment to the answer",
                 (details.get("output") or {}).get("commitment") or "none kept"),
            ],
        ),
    ]  # fmt: skip
    attempts = [
        (str(one.get("n")), str(one.get("backend")), str(one.get("boundary")),
         str(one.get("kind")), str(one.get("status") or ""), str(one.get("problem") or ""),
         str(one.get("total_ms")), str(one.get("upstream_request_id") or ""))
        for one in details.get("attempts") or ()
    ]  # fmt: skip
    if attempts:
        columns = (
            "Attempt#", "Backend", "Boundary", "Kind", "Status#", "Problem", "ms#",
            "Upstream request id",
        )  # fmt: skip
        columns, attempts = without_empty(columns, attempts)
        blocks.append(table("Attempts", columns, attempts))
    people = [
        (str(seq), moment(entry["at"]), words(entry), who(entry), entry["reason"])
        for seq, entry in entries
        if entry["kind"] != MADE and entry["kind"] not in TERMINAL
    ]
    if people:
        columns, people = without_empty(("Entry#", "Time, UTC", "What", "Who", "Reason"), people)
        blocks.append(table("What people and time did", columns, people))
    return blocks


def _entries(placed: list[tuple[int, Event]]) -> list[Block]:
    rows = [
        (f"{seq}", moment(event.entry["at"]), event.kind, bytes(event.leaf).hex())
        for seq, event in placed
    ]
    columns = ("Entry#", "Time, UTC", "Kind", "Leaf, SHA-256")
    return [
        table("Entries", columns, rows),
        text(
            "Each entry is in proven.jsonl of the evidence file as the exact bytes that were "
            "hashed, with the hashes that lead from its leaf to the signed root above. That "
            "no other entry is about this decision is shown by a report over its period."
        ),
    ]
