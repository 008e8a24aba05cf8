"""What every part of a report may be told, each with nothing to do unless it says so."""

from __future__ import annotations

from typing import Any

from audit.reports.blocks import Finding
from audit.reports.scope import Scope
from audit.reports.traffic import Brief

Entry = dict[str, Any]


class Part:
    """One section. ``before`` gets what stood before the bundle, ``add`` every entry in it."""

    name = ""
    title = ""
    wants: frozenset[str] = frozenset()

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def before(self, seq: int, entry: Entry) -> None:
        """An entry of before the bundle that may still count."""

    def made(self, seq: int, entry: Entry, brief: Brief, is_inside: bool) -> None:
        """A decision, before it was carried out."""

    def ended(self, seq: int, entry: Entry, brief: Brief | None, is_inside: bool) -> None:
        """The end of a decision; ``brief`` is None when it was made before the bundle."""

    def add(self, seq: int, entry: Entry, is_inside: bool) -> None:
        """Any other entry of a group in ``wants``."""

    def findings(self) -> list[Finding]:
        return []

    def section(self) -> dict[str, Any]:
        raise NotImplementedError
