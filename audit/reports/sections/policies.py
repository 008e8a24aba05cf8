"""Which policy versions were in force, who wrote and who approved them, and what they changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audit.reports import contributions
from audit.reports.blocks import Finding, Listing, moment, section, table, text
from audit.reports.scope import INTO_FORCE
from audit.reports.sections.base import Entry, Part


@dataclass(slots=True)
class Life:
    """What entries say of one version."""

    digest: str = ""
    authors: list[str] = field(default_factory=list)
    approvers: dict[str, str] = field(default_factory=dict)
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Force:
    """One version taking effect on one route."""

    route: str
    version: str
    digest: str
    at: str
    seq: int
    by: str
    reason: str
    replaced: str
    is_earlier: bool


class Policies(Part):
    name, title = "policies", "Policies in force, their differences and approvers"
    wants = frozenset({"policy"})

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.lives: dict[str, Life] = {}
        self.standing: dict[str, Force] = {}
        self.forces: list[Force] = []
        self.changes = Listing("Acts on policies and routes in the period")
        self.own_approvals = Listing("Versions approved by their own author")

    def before(self, seq: int, entry: Entry) -> None:
        if entry["kind"] in INTO_FORCE:
            one = _force(seq, entry, is_earlier=True)
            self.standing[one.route] = one
        if entry["object"]["type"] == "policy_version":
            self._live(seq, entry, is_inside=False)

    def add(self, seq: int, entry: Entry, is_inside: bool) -> None:
        kind = entry["kind"]
        if is_inside:
            self.changes.add(seq, entry)
        if entry["object"]["type"] == "policy_version":
            self._live(seq, entry, is_inside=is_inside)
        if kind in INTO_FORCE:
            one = _force(seq, entry, is_earlier=not is_inside)
            if is_inside:
                self.forces.append(one)
            else:
                self.standing[one.route] = one

    def _live(self, seq: int, entry: Entry, *, is_inside: bool) -> None:
        life = self.lives.setdefault(str(entry["object"]["id"]), Life())
        life.digest = str(entry["details"].get("digest") or life.digest)
        name, kind = entry["actor"]["name"], entry["kind"]
        if kind in ("policy.drafted", "policy.edited", "policy.submitted"):
            if name not in life.authors:
                life.authors.append(name)
            if kind == "policy.submitted":
                life.summary = entry["reason"] or life.summary
        elif kind == "policy.approved" and entry["result"] == "ok":
            life.approvers[name] = entry["at"]
            if name in life.authors and is_inside:
                self.own_approvals.add(seq, entry)

    def _all(self) -> list[Force]:
        return [*sorted(self.standing.values(), key=lambda one: one.seq), *self.forces]

    def unapproved(self) -> list[Force]:
        lives = self.lives
        return [one for one in self.forces if not lives.get(one.version, Life()).approvers]

    def findings(self) -> list[Finding]:
        found = [
            Finding(
                sentence="Versions put into force without a recorded approval",
                count=len(self.unapproved()),
                where=self.name,
            ),
            Finding(
                sentence="Versions approved by their own author",
                count=self.own_approvals.total,
                where=self.name,
            ),
        ]
        return [one for one in found if one.count]

    def section(self) -> dict[str, Any]:
        return section(
            self.name,
            self.title,
            "A version is immutable once it is submitted; its digest is in every decision it made.",
            [
                self._table(),
                self.own_approvals.block(),
                *contributions.of("policies", self.scope, self.named()),
                self.changes.block()
                or text("Nothing was done to a policy or a route in this period."),
            ],
        )

    def named(self) -> list[dict[str, str]]:
        """The versions that were in force, for whoever can say what is in them."""
        return [
            {"route": one.route, "version": one.version, "digest": one.digest,
             "replaced": one.replaced}
            for one in self._all()
        ]  # fmt: skip

    def _table(self) -> Any:
        rows, bad, unapproved = [], [], self.unapproved()
        for at, one in enumerate(self._all()):
            life = self.lives.get(one.version, Life())
            approved = ", ".join(
                f"{name} ({moment(when)})" for name, when in life.approvers.items()
            )
            rows.append(
                (one.route, one.version, moment(one.at) + (" (before)" if one.is_earlier else ""),
                 self._until(one), ", ".join(life.authors) or "–", approved or "–", one.by,
                 life.summary or one.reason, one.seq)
            )  # fmt: skip
            if one in unapproved:
                bad.append(at)
        if not rows:
            return text("No policy was in force.")
        columns = (
            "Route", "Version", "In force from, UTC", "Until, UTC", "Written by", "Approved by",
            "Put into force by", "What it changes", "Entry#",
        )  # fmt: skip
        return table("Versions in force", columns, rows, bad=bad)

    def _until(self, one: Force) -> str:
        later = [two.at for two in self.forces if two.route == one.route and two.seq > one.seq]
        return moment(later[0]) if later else "end of period"


def _force(seq: int, entry: Entry, *, is_earlier: bool) -> Force:
    details, version = entry["details"], str(entry["object"]["id"])
    before = next(
        (one.get("before") for one in entry.get("diff") or () if one["field"] == "active"), None
    )
    return Force(
        route=str(details.get("route") or version.partition("@")[0]),
        version=version,
        digest=str(details.get("digest") or ""),
        at=entry["at"],
        seq=seq,
        by=entry["actor"]["name"],
        reason=entry["reason"],
        replaced=str(before or ""),
        is_earlier=is_earlier,
    )
