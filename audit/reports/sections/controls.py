"""Which control of which framework this report supports, from versioned data with sources."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from audit.reports.blocks import heading, section, table, text
from audit.reports.sections.base import Part

_WORDS = {
    "supports": "supports",
    "partly": "supports in part",
    "outside": "outside this system",
}


@cache
def mapping() -> dict[str, Any]:
    """The mapping as it is shipped; its version is printed with it."""
    found: dict[str, Any] = json.loads(
        files("audit.reports").joinpath("controls.json").read_text(encoding="utf-8")
    )
    return found


class Controls(Part):
    name, title = "controls", "Control mapping"

    def section(self) -> dict[str, Any]:
        known = mapping()
        blocks: list[Any] = [
            text(
                f"Mapping {known['version']}, as of {known['as_of']}. It names evidence that "
                "supports a control. Whether a control is met is for the auditor to say."
            )
        ]
        for framework in known["frameworks"]:
            blocks.append(heading(framework["name"]))
            blocks.append(text(self._when(framework)))
            rows = [
                (one["control"], one["asks"], _WORDS[one["evidence"]], one["where"])
                for one in framework["controls"]
            ]
            columns = ("Control", "What it asks", "This system", "Where to look")
            blocks.append(table(f"Controls of {framework['name']}", columns, rows))
        return section(
            self.name,
            self.title,
            "Versioned data, not law and no legal advice. Dates and sources stand with each "
            "framework.",
            blocks,
        )

    def _when(self, framework: dict[str, Any]) -> str:
        period_to = self.scope.period[1][:10]
        began = framework["effective_from"]
        standing = f"in effect since {began}" if began < period_to else f"applies only from {began}"
        note = f" {framework['note']}" if framework.get("note") else ""
        return f"{framework['edition']}: {standing}. Source: {framework['source']}.{note}"
