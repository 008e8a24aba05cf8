"""What stood at a moment, folded from entries: sign-offs, backends and active versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audit.reports.sections.base import Entry
from audit.reports.traffic import fields_after, seconds


@dataclass(slots=True, kw_only=True)
class SignOff:
    """One sign-off as its entries tell it; ``ended`` is "" while it stands."""

    number: str
    backend: str
    data_class: str
    granted_by: str
    granted_at: str
    valid_to: str
    reason: str
    seq: int
    ended: str = ""
    ended_how: str = ""

    def covers(self, at: str) -> bool:
        if at < self.granted_at or (self.ended and at >= self.ended):
            return False
        return seconds(at) < seconds(self.valid_to)


class SignOffs:
    """Every sign-off that was granted, by number."""

    def __init__(self) -> None:
        self.known: dict[str, SignOff] = {}

    def take(self, seq: int, entry: Entry) -> None:
        kind, number, details = entry["kind"], entry["object"]["id"], entry["details"]
        if kind == "signoff.granted":
            self.known[number] = SignOff(
                number=number,
                backend=str(details.get("backend") or ""),
                data_class=str(details.get("data_class") or ""),
                granted_by=entry["actor"]["name"],
                granted_at=entry["at"],
                valid_to=str(details.get("valid_to") or ""),
                reason=entry["reason"],
                seq=seq,
            )
        elif kind in ("signoff.revoked", "signoff.expired") and number in self.known:
            self.known[number].ended = entry["at"]
            self.known[number].ended_how = kind.removeprefix("signoff.")

    def of(self, backend: str, data_class: str, at: str) -> SignOff | None:
        for one in self.known.values():
            if (one.backend, one.data_class) == (backend, data_class) and one.covers(at):
                return one
        return None


class Backends:
    """Each backend's fields as changes left them."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}

    def take(self, entry: Entry) -> None:
        if entry["kind"] in ("backend.registered", "backend.changed"):
            name = str(entry["object"]["id"])
            self.known.setdefault(name, {}).update(fields_after(entry))
