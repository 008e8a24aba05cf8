"""The whole product on a machine of its own: started by its supervisor, called over sockets."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
_ITS_OWN = ("DATABASE_", "BROKER_URL", "SIGNALBOX_")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running installation and what its people and programs need to know of it."""

    var: Path
    url: str
    api_key: str
    people: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(_ITS_OWN)}
        return {**clean, "SIGNALBOX_VAR_DIR": str(self.var)}

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def database_url(self) -> str:
        return json.loads((self.var / "connection.json").read_text())["DATABASE_URL"]

    def web_pid(self) -> int:
        """The process that listens on our port, found without a name: others run servers here."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    mine = (
                        f"SIGNALBOX_VAR_DIR={self.var}".encode() in (entry / "environ").read_bytes()
                    )
                except OSError:
                    continue
                if mine and b"config.asgi:application" in words:
                    return int(entry.name)
        raise LookupError("the web process is not there")

    def wait_until_ready(self, timeout_s: float = 60) -> None:
        ends = time.monotonic() + timeout_s
        while time.monotonic() < ends:
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise TimeoutError("the product did not become ready; see var/log")

    def settled(self, timeout_s: float = 30) -> dict[str, Any]:
        """Wait until every decision has its end in the trail, and return what audit_fsck says."""
        ends = time.monotonic() + timeout_s
        while True:
            answer = self.manage("audit_fsck")
            still_open = re.search(r"^open\W+([1-9]\d*)", answer.stdout, re.MULTILINE)
            if (answer.returncode == 0 and not still_open) or time.monotonic() > ends:
                return {
                    "code": answer.returncode,
                    "open": int(still_open[1]) if still_open else 0,
                    "text": answer.stdout + answer.stderr,
                }
            time.sleep(0.5)


def start_site(var: Path, *options: str) -> Site:
    port = free_port()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(_ITS_OWN)}
    log = (var.parent / f"{var.name}.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "config.supervisor", "run", "--port", str(port), *options],
        cwd=ROOT,
        # Reading is waited for, but not as long as a person needs.
        env={**clean, "SIGNALBOX_VAR_DIR": str(var), "SIGNALBOX_REVIEW_DWELL_PERCENT": "10"},
        stdout=log,
        stderr=log,
    )
    url = f"http://127.0.0.1:{port}"
    starting = Site(var=var, url=url, api_key="", people={}, process=process)
    try:
        starting.wait_until_ready(150)
    except TimeoutError:
        stop_site(starting)
        raise
    facts = json.loads((var / "demo.json").read_text())
    people = {person["name"]: person["password"] for person in facts["people"]}
    return Site(var=var, url=url, api_key=facts["api_key"], people=people, process=process)


def stop_site(site: Site) -> None:
    site.process.send_signal(signal.SIGINT)
    try:
        site.process.wait(timeout=40)
    except subprocess.TimeoutExpired:
        site.process.kill()
        site.process.wait(timeout=10)
