"""Says what was measured and whether it keeps the promises: tables for terminal and page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

# p95 at many rows against p95 at few, and milliseconds of server time at a million decisions.
RATIO, RATIO_STRETCH = 2.0, 1.2
SCREEN_MS, SCREEN_STRETCH_MS = 150.0, 60.0
# Below this a ratio compares the noise of the machine with itself.
FLOOR_MS: Final = 5.0
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def ratio(few_ms: float, many_ms: float) -> float:
    return many_ms / max(few_ms, FLOOR_MS)


def judge(value: float, bar: float, stretch: float) -> str:
    return "missed" if value > bar else "met" if value > stretch else "beyond the stretch"


def verdicts(result: dict[str, Any], what: str = "p95_ms") -> list[dict[str, Any]]:
    """One line per group: the worst ratio and the slowest screen, with the screen's name.

    `what` is p95_ms, by the clock, or cpu_p95_ms, which a busy machine disturbs least.
    """
    few, many = result["steps"][0][what], result["steps"][-1][what]
    found = []
    for group in dict.fromkeys(case["group"] for case in result["cases"]):
        cases = [case for case in result["cases"] if case["group"] == group]
        worst = max((ratio(few[c["url"]], many[c["url"]]), c["name"]) for c in cases)
        slow = max((many[c["url"]], c["name"]) for c in cases)
        found.append(
            {
                "group": group,
                "ratio": round(worst[0], 2),
                "ratio_of": worst[1],
                "ratio_word": judge(worst[0], RATIO, RATIO_STRETCH),
                "p95_ms": slow[0],
                "p95_of": slow[1],
                "p95_word": judge(slow[0], SCREEN_MS, SCREEN_STRETCH_MS),
            }
        )
    return found


def _table(rows: Iterable[Iterable[object]]) -> str:
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * lines[0].count(" | ") + "---|")
    return "\n".join(lines)


def text(result: dict[str, Any]) -> str:
    """The whole result in Markdown, for the terminal and for the page."""
    steps = result["steps"]
    few, many = steps[0], steps[-1]
    heads = [
        f"{step['decisions']:,} {words} (ms)"
        for step in steps
        for words in ("p50 / p95", "processor p95")
    ]
    parts = [
        _table(
            [
                [
                    "screens",
                    "worst ratio of p95 (bar 2, stretch 1.2)",
                    "",
                    f"slowest p95, {many['decisions']:,} rows (bar 150 ms, stretch 60)",
                    "",
                ],
                *(
                    [
                        f"{one['group']}, {by}",
                        f"{one['ratio']} ({one['ratio_of']})",
                        one["ratio_word"],
                        f"{one['p95_ms']:.0f} ms ({one['p95_of']})",
                        one["p95_word"],
                    ]
                    for by, what in (("by the clock", "p95_ms"), ("processor time", "cpu_p95_ms"))
                    for one in verdicts(result, what)
                ),
            ]
        )
    ]
    for group in dict.fromkeys(case["group"] for case in result["cases"]):
        rows: list[list[object]] = [[group, *heads, "ratio, clock", "ratio, processor"]]
        for case in result["cases"]:
            if case["group"] != group:
                continue
            url = case["url"]
            shown = [
                words
                for step in steps
                for words in (
                    f"{step['p50_ms'][url]:.0f} / {step['p95_ms'][url]:.0f}",
                    f"{step['cpu_p95_ms'][url]:.0f}",
                )
            ]
            shares = [
                f"{ratio(few[what][url], many[what][url]):.2f}" for what in ("p95_ms", "cpu_p95_ms")
            ]
            rows.append([case["name"], *shown, *shares])
        parts.append(_table(rows))
    gigabytes = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in many["bytes"].items())
    filled = many["filled_per_s"]
    parts.append(
        f"- Measured {result['at']}, {result['machine']}, load {result['load'][0]}. "
        f"{many['decisions']:,} decisions and {many['events']:,} events over 30 days.\n"
        f"- Each screen {result['runs']} times, in a new order every round; server time of the "
        "whole answer, templates included, in one process. Processor time is that of this process "
        "and of its database backend, without waiting for either.\n"
        f"- Gigabytes with indexes: {gigabytes}.\n"
        f"- Filled at {filled['decisions']:,.0f} decisions and {filled['events']:,.0f} events a "
        "second, indexed and counted afterwards; as traffic writes them, past all indexes and "
        f"triggers, the list takes {result['as_recorded_per_s']:,.0f} decisions a second. "
        "fsync off.\n"
        f"- Ratios below {FLOOR_MS:g} ms are taken against {FLOOR_MS:g} ms."
    )
    return "\n\n".join(parts)


def into(page: str, block: str) -> str:
    """The page with its measured part replaced."""
    head, rest = page.split(BEGIN, 1)
    _, tail = rest.split(END, 1)
    return f"{head}{BEGIN}\n\n{block}\n\n{END}{tail}"
