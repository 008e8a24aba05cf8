"""The integrity proof: checkpoints, keys, anchors and verifications, and what to run."""

from __future__ import annotations

from typing import Any

from audit.models import Checkpoint, SigningKey
from audit.reports.blocks import Listing, facts, section, table, text
from audit.reports.sections.base import Entry, Part

_OUTSIDE = ("log.checkpoint_anchored", "log.anchor")
_KEYS = ("log.key_",)


class Proof(Part):
    name, title = "proof", "Integrity proof"
    wants = frozenset({"log"})

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.anchors = Listing("Checkpoints stored outside the database")
        self.keys = Listing("What happened to the signing keys")
        self.verified = Listing("Verifications of the whole trail")
        self.reports = Listing("Reports that were asked for, made and taken")

    def add(self, seq: int, entry: Entry, is_inside: bool) -> None:
        if not is_inside:
            return
        kind = entry["kind"]
        if kind.startswith(_OUTSIDE):
            self.anchors.add(seq, entry)
        elif kind.startswith(_KEYS):
            self.keys.add(seq, entry)
        elif kind in ("trail.verified", "trail.verification_failed"):
            self.verified.add(seq, entry)
        elif kind.startswith("report."):
            self.reports.add(seq, entry)

    def section(self) -> dict[str, Any]:
        cut = self.scope.cut
        return section(
            self.name,
            self.title,
            "The log is an RFC 6962 Merkle tree. The verifier rebuilds it from the first "
            "checkpoint through every entry of the bundle and must arrive at the root of the "
            "second one.",
            [
                facts(
                    "The two checkpoints",
                    [
                        ("Log", self.scope.origin),
                        ("Key", self.scope.key_id),
                        *_head("Start", cut.start),
                        *_head("End", cut.end),
                        ("Signed heads between them", f"{self._between():,}"),
                        ("Earlier entries with a proof of their own", len(self.scope.earlier)),
                    ],
                ),
                facts(
                    "How to check it",
                    [
                        ("Everything", "python3 -I -S verify.py bundle.zip --key key.pub"),
                        ("A sample", "the same with --sample SEED: prints the entries it picks"),
                        ("An outside copy", "compare the end root with the anchor that you hold"),
                    ],
                ),
                self._keys(),
                self.keys.block(),
                self.anchors.block()
                or text("No checkpoint was stored outside the database in this period.", "bad"),
                self.verified.block(),
                self.reports.block(),
            ],
        )

    def _between(self) -> int:
        cut = self.scope.cut
        return Checkpoint.objects.filter(size__gte=cut.start.size, size__lte=cut.end.size).count()

    def _keys(self) -> Any:
        # Rows of keys are only ever added; what ends later must not change this report.
        end = self.scope.cut.end.size
        rows = [
            (key.vkey, f"{key.from_size:,}")
            for key in SigningKey.objects.filter(from_size__lte=end).order_by("from_size", "vkey")
        ]
        return table("Keys that signed up to the end checkpoint", ("Key", "From entry#"), rows)


def _head(name: str, checkpoint: Any) -> list[tuple[str, object]]:
    return [
        (f"{name}: entries", f"{checkpoint.size:,}"),
        (f"{name}: signed", f"{checkpoint.at:%Y-%m-%d %H:%M:%S} UTC"),
        (f"{name}: root", checkpoint.root_hex),
    ]
