"""./benchmarks/scale/run: fills a database of its own twice and measures the screens after each."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/scale/run", description=__doc__)
    parser.add_argument("--few", type=int, default=100_000, help="decisions of the first step")
    parser.add_argument("--rows", type=int, default=10_000_000, help="decisions of the last step")
    parser.add_argument(
        "--events", type=float, default=1.0, help="events of the trail per decision (1)"
    )
    parser.add_argument("--runs", type=int, default=30, help="times that each screen is asked (30)")
    parser.add_argument("--write-docs", action="store_true", help="write into docs/scale.md")
    parser.add_argument("--explain", metavar="URL", help="at the end, the queries of one screen")
    return parser.parse_args(words)


def say(words: str) -> None:
    sys.stdout.write(f"  {words}\n")
    sys.stdout.flush()


def main(words: Sequence[str]) -> int:
    chosen = parse(words)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.core.management import call_command

    from benchmarks.scale import fill, report, screens

    call_command("migrate", database="owner", verbosity=0, interactive=False)
    fill.prepare()
    client = screens.people()
    screens.registry()
    cases = screens.cases()
    steps: list[dict[str, Any]] = []
    held = {"decisions": 0, "events": 0}
    for rows in dict.fromkeys((chosen.few, chosen.rows)):
        wanted = {"decisions": rows, "events": int(rows * chosen.events)}
        speeds = fill.fill(
            decisions=wanted["decisions"] - held["decisions"],
            events=wanted["events"] - held["events"],
            tell=say,
        )
        held = wanted
        began = monotonic()
        taken = screens.measure(client, cases, runs=chosen.runs)
        say(f"{rows:,} decisions: measured in {monotonic() - began:.0f} s")
        steps.append(
            {
                **held,
                "filled_per_s": speeds,
                "bytes": fill.sizes(),
                **{
                    what: {url: getattr(timing, what) for url, timing in taken.items()}
                    for what in ("p50_ms", "p95_ms", "max_ms", "cpu_p50_ms", "cpu_p95_ms")
                },
            }
        )
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, PostgreSQL {_server()}",
        "load": [round(one, 1) for one in os.getloadavg()],
        "runs": chosen.runs,
        "cases": [asdict(case) for case in cases],
        "steps": steps,
        "as_recorded_per_s": fill.speed_one_by_one(),
    }
    _keep(result, report.text(result), write_docs=chosen.write_docs)
    if chosen.explain:
        _explain(client, chosen.explain)
    return 0


def _server() -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0]).split(" ", maxsplit=1)[0]


def _keep(result: dict[str, Any], text: str, *, write_docs: bool) -> None:
    from benchmarks.scale import report

    sys.stdout.write(text + "\n")
    folder = HERE.parent / "results"
    folder.mkdir(exist_ok=True)
    name = f"scale-{result['at'].replace(':', '')[:17]}.json"
    (folder / name).write_text(json.dumps(result, indent=1))
    say(f"kept in benchmarks/results/{name}")
    if write_docs:
        page = ROOT / "docs" / "scale.md"
        page.write_text(report.into(page.read_text(), text))


def _explain(client: Any, url: str) -> None:
    """Every query of one screen with its plan: where a slow one is looked for."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        client.get(url)
    for query in captured:
        say(f"{query['time']} s: {query['sql'][:600]}")
        if query["sql"].startswith(("SELECT", "\nSELECT", "\n    SELECT")) and float(
            query["time"]
        ) > float(os.environ.get("SCALE_EXPLAIN_S", "0.02")):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + query["sql"].replace("%", "%%"))
                for (line,) in cursor.fetchall():
                    say("    " + line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
