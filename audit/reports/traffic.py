"""What one decision leaves for the moment it ends: enough to judge a crossing by, and no more.

Only decisions without an end are held, so memory follows what is open at once, not the period.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

MOST_REGISTRIES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """A decision as its end needs it. ``until_s`` is None when its registry is not known."""

    seq: int
    at: str
    route: str
    policy: str
    rule: str
    data_class: str
    boundary: str
    until_s: Mapping[str, int] | None


@dataclass(slots=True)
class Registries:
    """Registries of backends as entries gave them: inside a decision, or once, by digest."""

    _known: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def learn(self, entry: Mapping[str, Any]) -> None:
        details = entry.get("details") or {}
        backends, digest = details.get("backends"), details.get("digest")
        if not isinstance(backends, list) or len(self._known) >= MOST_REGISTRIES:
            return
        self._known[str(entry["object"]["id"])] = backends
        if isinstance(digest, str):
            self._known[digest] = backends

    def of(self, details: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        given = details.get("backends")
        if isinstance(given, list):
            return given
        for name in ("backends", "backends_digest", "registry", "registry_digest"):
            if isinstance(digest := details.get(name), str) and digest in self._known:
                return self._known[digest]
        return None


def brief_of(seq: int, entry: Mapping[str, Any], registries: Registries) -> Brief:
    details = entry["details"]
    decision = details.get("decision") or {}
    data_class = str(decision.get("data_class") or "(none)")
    backends = registries.of(details)
    until = None
    if backends is not None:
        until = {
            str(one.get("name")): int((one.get("signoffs") or {}).get(data_class, 0))
            for one in backends
            if one.get("boundary") == "public"
        }
    return Brief(
        seq=seq,
        at=entry["at"],
        route=str(details.get("route") or entry["object"]["id"]),
        policy=str(details.get("policy") or "(none)"),
        rule=str(decision.get("rule") or "(default)"),
        data_class=data_class,
        boundary=str(decision.get("boundary") or ""),
        until_s=until,
    )


def seconds(stamped: str) -> int:
    """A time of the ledger as whole seconds since 1970; 0 when it is none."""
    try:
        at = datetime.fromisoformat(stamped)
    except ValueError:
        return 0
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def fields_after(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a change left behind, from its difference."""
    return {str(one["field"]): one.get("after") for one in entry.get("diff") or ()}
