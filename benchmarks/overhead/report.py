"""Shows a result: a table for the terminal, JSON for programs, a block for docs/performance.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.overhead.bars import Verdict, verdicts
from benchmarks.overhead.programs import HERE

RESULTS = HERE.parent / "results"
DOCS = HERE.parents[1] / "docs"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_NAMES = {
    "direct": "no gateway",
    "nginx": "nginx",
    "portkey": "Portkey",
    "litellm": "LiteLLM",
    "signalbox": "**Signalbox**",
}
Rows = list[list[str]]


def _number(value: Any, places: int = 2) -> str:
    if value is None:
        return "-"
    value = float(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{0 if abs(value) >= 100 else places}f}"


def _of(figures: dict[str, Any], mode: str, name: str, what: str, places: int = 2) -> str:
    return _number(figures.get(mode, {}).get(name, {}).get(what), places)


def systems(result: dict[str, Any]) -> Rows:
    """One line per gateway: rates, processor time, added latency."""
    figures = result["figures"]
    rows = [
        [
            "system", "requests/s, 1", "requests/s, 32", "CPU per request (us)", "p99 at 32 (ms)",
            "streams/s, 32", "CPU per stream (us)", "added p50 / p99 at 1 (ms)",
            "added to first byte of a stream p50 (ms)", "paced streams: cores, p50 (ms)",
        ]
    ]  # fmt: skip
    for name, title in _NAMES.items():
        if name not in figures.get("requests_32", {}):
            continue
        added = " / ".join(
            _of(figures, "latency", name, f"total_added_{p}_ms") for p in ("p50", "p99")
        )
        paced = f"{_of(figures, 'paced', name, 'cores')}, {_of(figures, 'paced', name, 'p50_ms')}"
        rows.append(
            [
                title,
                _of(figures, "requests_1", name, "per_s"),
                _of(figures, "requests_32", name, "per_s"),
                _of(figures, "requests_32", name, "cpu_us", 0),
                _of(figures, "requests_32", name, "p99_ms"),
                _of(figures, "streams_32", name, "per_s"),
                _of(figures, "streams_32", name, "cpu_us", 0),
                added if name != "direct" else "-",
                _of(figures, "latency_stream", name, "first_added_p50_ms"),
                paced,
            ]
        )
    return rows


def bars(found: Sequence[Verdict]) -> Rows:
    rows = [["promise", "bar", "stretch", "measured", ""]]
    for one in found:
        unit = f" {one.unit}" if one.unit else ""
        shown = "-" if one.value is None else f"{_number(one.value)}{unit}"
        rows.append([one.name, f"{one.bar:g}{unit}", f"{one.stretch:g}{unit}", shown, one.word])
    return rows


def text_table(rows: Rows) -> str:
    widths = [max(len(row[i].replace("*", "")) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.replace("*", "") for cell in row]
        lines.append("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown_table(rows: Rows) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def by_processor_time(figures: dict[str, Any]) -> list[str]:
    """The peers' processor time as a multiple of ours: hardly disturbed by a shared machine."""
    made = []
    for mode, what in (("requests_32", "request"), ("streams_32", "stream")):
        of = figures.get(mode, {})
        own = of.get("signalbox", {}).get("cpu_us")
        found = [
            f"{_NAMES[name]} {of[name]['cpu_us'] / own:.3g} times ours"
            for name in ("litellm", "portkey", "nginx")
            if own and of.get(name, {}).get("cpu_us")
        ]
        if found:
            made.append(f"Processor time per {what}: {', '.join(found)}.")
    return made


def remarks(result: dict[str, Any]) -> list[str]:
    """What a reader must know to believe the figures."""
    machine, size = result["machine"], result["size"]
    share = result["clean_share"]
    where = (
        "the gateway under test alone on one core, everything else on the others"
        if machine["pinned"]
        else "NOT pinned: this machine has too few cores, so the figures mean little"
    )
    made = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}; {where}.",
        f"{size['rounds']} interleaved rounds of {size['seconds']:g} s, medians; {share:.0%} of "
        "the runs were clean (strangers took at most 15 % of the measured core). Load average "
        f"before the run: {machine['load_average_before']}.",
        "Load: " + "; ".join(f"{what} by {who}" for what, who in result["load"].items()) + ". "
        f"Upstream: {result['upstream']}.",
    ]
    ledger = result.get("ledger")
    if ledger:
        fsync = "on" if ledger["fsync"] else "OFF"
        made.append(
            f"The ledger held {ledger['event']:,} events at the end, fsync {fsync}; sequencer "
            f"{'on' if result['sequencer'] else 'off'}."
        )
    made += by_processor_time(result["figures"])
    beside = result.get("beside_us_per_event", {})
    if beside:
        found = ", ".join(f"{name} {us:.0f} us" for name, us in beside.items())
        made.append(f"Beside the gateway, processor time per stored event: {found}.")
    made += [f"{name}: {why}." for name, why in result["missing"].items()]
    made += [f"{name}: {note}." for name, note in result["notes"].items()]
    errors = {
        f"{mode}, {name}": one["errors"]
        for mode, of in result["figures"].items()
        for name, one in of.items()
        if isinstance(one, dict) and one.get("errors")
    }
    if errors:
        made.append("Errors: " + "; ".join(f"{k}: {v}" for k, v in errors.items()) + ".")
    return made


def block(result: dict[str, Any]) -> str:
    """The part of docs/performance.md that a run writes."""
    parts = [f"Measured {result['date']}, Signalbox {result['revision']}."]
    if result["occasion"]:
        parts.append(result["occasion"])
    parts += [
        markdown_table(bars(verdicts(result["figures"]))),
        markdown_table(systems(result)),
        "\n".join(f"- {line}" for line in remarks(result)),
    ]
    return "\n\n".join(parts)


def show(result: dict[str, Any]) -> str:
    found = verdicts(result["figures"])
    lines = "\n".join(f"- {line}" for line in remarks(result))
    return "\n\n".join([text_table(systems(result)), text_table(bars(found)), lines]) + "\n"


def write(result: dict[str, Any]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"overhead-{result['date'].replace(':', '')}.json"
    full = {**result, "bars": [asdict(one) for one in verdicts(result["figures"])]}
    path.write_text(json.dumps(full, indent=1) + "\n")
    return path


def write_docs(result: dict[str, Any]) -> None:
    """Replace the measured block of docs/performance.md and the summary beside it."""
    page = DOCS / "performance.md"
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{block(result)}\n\n{END}{after}")
    summary = {**result, "bars": [asdict(one) for one in verdicts(result["figures"])]}
    (DOCS / "performance.json").write_text(json.dumps(summary, indent=1) + "\n")
