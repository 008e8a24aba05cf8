"""First of all: what a reader must not miss, gathered from the other parts."""

from __future__ import annotations

from typing import Any

from audit.reports.blocks import Finding, section, table, text


def exceptions(findings: list[Finding], titles: dict[str, str]) -> dict[str, Any]:
    if not findings:
        block = text("None of the checks of this report found an exception.", "good")
    else:
        rows = [(one.sentence, f"{one.count:,}", titles[one.where]) for one in findings]
        block = table(
            "Exceptions", ("What", "How many#", "Section"), rows, bad=range(len(findings))
        )
    return section(
        "exceptions",
        "Exceptions first",
        "Each of these is a count over every entry of the period; the named section lists them.",
        [block],
    )
