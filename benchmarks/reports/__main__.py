"""python -m config.supervisor with-servers -- python -m benchmarks.reports [--decisions N]

Fills the ledger of a database of its own with months of growing size and makes and verifies a
report over each in a process of its own, as an auditor would. Prints seconds and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def say(words: str) -> None:
    sys.stdout.write(f"  {words}\n")
    sys.stdout.flush()


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.reports", description=__doc__)
    parser.add_argument("--few", type=int, default=50_000, help="decisions of the first step")
    parser.add_argument("--decisions", type=int, default=500_000, help="decisions of the month")
    chosen = parser.parse_args(words)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", database="owner", verbosity=0, interactive=False)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SIGNALBOX_AUDIT_KEY_FILE"] = str(Path(folder) / "audit.key")
        os.environ["SIGNALBOX_ANCHOR_FILE"] = str(Path(folder) / "anchors.txt")
        steps, held = [], 0
        for decisions in dict.fromkeys((chosen.few, chosen.decisions)):
            steps.append(_step(Path(folder), decisions - held))
            held = decisions
        sys.stdout.write(json.dumps({"steps": steps, "cpus": os.cpu_count()}, indent=1) + "\n")
    return 0


def _step(folder: Path, decisions: int) -> dict[str, Any]:
    from benchmarks.reports import month

    size = month.Size(decisions=decisions)
    began = monotonic()
    events = _fill(size, folder)
    filled = monotonic() - began
    say(f"{events:,} events written and placed in {filled:.0f} s")
    bundle, key = folder / "bundle.zip", folder / "key.pub"
    made = _run(
        [sys.executable, "manage.py", "audit_report", "--from", f"{month.BEGIN:%Y-%m-%d}",
         "--to", f"{month.END:%Y-%m-%d}", "--out", str(bundle)]
    )  # fmt: skip
    key.write_bytes(_run([sys.executable, "manage.py", "audit_key"])["out"])
    verified = _run(
        [sys.executable, "-I", "-S", "audit/reports/verify.py", str(bundle), "--key", str(key)]
    )
    say(verified["out"].decode())
    return {
        "decisions_added": decisions,
        "report_s": made["s"],
        "report_peak_mb": made["mb"],
        "verify_s": verified["s"],
        "verify_peak_mb": verified["mb"],
        "bundle_mb": round(bundle.stat().st_size / 1e6, 1),
    }


def _fill(size: Any, folder: Path) -> int:
    import psycopg
    from django.conf import settings
    from django.db import connections

    from audit import keys
    from audit.sequencer import register_key, sequence_once
    from benchmarks.reports import month

    settings.AUDIT_KEY_FILE = folder / "audit.key"

    def dsn(alias: str) -> str:
        values = connections[alias].settings_dict
        return psycopg.conninfo.make_conninfo(
            host=values["HOST"], port=values["PORT"], user=values["USER"],
            password=values["PASSWORD"], dbname=values["NAME"],
        )  # fmt: skip

    with psycopg.connect(dsn("default"), autocommit=True) as app:
        events = month.store(app, size, origin=settings.AUDIT_ORIGIN, tell=lambda _: None)
    with psycopg.connect(dsn("sequencer"), autocommit=True) as conn:
        register_key(conn, keys.signer_made_when_missing()[0])
        while sequence_once(conn):
            pass
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) audit.event")
        cursor.execute("VACUUM (ANALYZE) audit.leaf")
    return events


def _run(command: list[str]) -> dict[str, Any]:
    """The output, the seconds and the peak memory of one program of its own."""
    began = monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)  # noqa: S603
    peak_kb = 0
    while process.poll() is None:
        peak_kb = max(peak_kb, _peak_kb(process.pid))
        sleep(0.02)
    out = process.stdout.read() if process.stdout else b""
    if process.returncode:
        raise SystemExit(out.decode())
    return {"out": out, "s": round(monotonic() - began, 1), "mb": round(peak_kb / 1024)}


def _peak_kb(pid: int) -> int:
    """What the kernel noted as the most; the usage of a child would count its parent's pages."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
