"""Who may do what, what was denied, which keys there are, and whether one person did two jobs."""

from __future__ import annotations

from typing import Any, Final

from audit.reports.blocks import Finding, Listing, Tally, section, table, text
from audit.reports.sections.base import Entry, Part

_QUIET: Final = frozenset(
    {"person.signed_in", "person.signed_out", "person.sign_in_failed", "preferences.changed",
     "filter.saved", "filter.removed"}
)  # fmt: skip
_ROLES: Final = frozenset(
    {"person.created", "person.changed", "person.roles_changed", "person.deactivated",
     "person.reactivated", "reviewer.changed"}
)  # fmt: skip


class Access(Part):
    name, title = "access", "Access, keys and separation of duties"
    wants = frozenset({"access", "backend", "policy", "review", "log", "privacy"})

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.signs, self.failed_as = Tally(), Tally()
        self.people = Listing("People and their roles")
        self.keys = Listing("API keys, tokens, webhooks and stored secrets")
        self.denied = Listing("Denied acts")
        self.exports = Listing("Exports and downloads of the trail")
        self.parties: dict[str, dict[str, set[str]]] = {}
        self.both: list[tuple[str, ...]] = []

    def before(self, seq: int, entry: Entry) -> None:
        self._parties(seq, entry, is_inside=False)

    def add(self, seq: int, entry: Entry, is_inside: bool) -> None:
        self._parties(seq, entry, is_inside=is_inside)
        if not is_inside:
            return
        kind = entry["kind"]
        if entry["result"] == "denied":
            self.denied.add(seq, entry)
        if kind in _QUIET:
            self.signs.count(kind)
            if kind == "person.sign_in_failed":
                self.failed_as.count(entry["object"]["id"])
        elif kind in _ROLES:
            self.people.add(seq, entry)
        elif kind.startswith(("api_key.", "access_token.", "webhook.", "backend.secret")):
            self.keys.add(seq, entry)
        elif kind in ("trail.exported", "report.downloaded", "payload.exported"):
            self.exports.add(seq, entry)

    def _parties(self, seq: int, entry: Entry, *, is_inside: bool) -> None:
        """Two jobs on one thing by one person: what four eyes are for."""
        thing, kind = entry["object"], entry["kind"]
        if entry["result"] != "ok" or thing["type"] not in ("policy_version", "signoff"):
            return
        jobs = {
            "policy.drafted": "wrote", "policy.edited": "wrote", "policy.submitted": "wrote",
            "policy.approved": "approved", "signoff.requested": "asked for",
            "signoff.approved": "approved", "signoff.granted": "granted",
        }  # fmt: skip
        job = jobs.get(kind)
        if job is None:
            return
        done = self.parties.setdefault(str(thing["id"]), {})
        name = str(entry["actor"]["name"])
        for other, names in done.items():
            if is_inside and other != job and name in names:
                self.both.append(
                    (str(seq), f"{thing['type'].replace('_', ' ')} {thing['id']}", name,
                     f"{other} and {job}")
                )  # fmt: skip
        done.setdefault(job, set()).add(name)

    def findings(self) -> list[Finding]:
        found = [
            Finding(
                sentence="Separation of duties: one person did two jobs on one thing",
                count=len(set(self.both)),
                where=self.name,
            ),
            Finding(sentence="Denied acts", count=self.denied.total, where=self.name),
        ]
        return [one for one in found if one.count]

    def section(self) -> dict[str, Any]:
        both = sorted(set(self.both))
        return section(
            self.name,
            self.title,
            "People are named as they were at the time, with the role they used.",
            [
                table("Separation of duties: exceptions", ("Entry#", "Thing", "Who", "Jobs"), both,
                      bad=range(len(both)))
                if both
                else text(
                    "Separation of duties: no one wrote and approved the same policy version, or "
                    "asked for and granted the same sign-off.",
                    "good",
                ),
                self.denied.block(),
                self.people.block(),
                self.keys.block(),
                self.exports.block(),
                self.signs.block("Signing in and out, and preferences", "Act", "Times"),
                self.failed_as.block("Failed sign-ins by name", "Name", "Times"),
            ],
        )  # fmt: skip
