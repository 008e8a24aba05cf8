"""The product under test: PostgreSQL and web process by its own supervisor, in a new folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.overhead import machine
from benchmarks.overhead.machine import Cores
from benchmarks.overhead.peers import Target
from benchmarks.overhead.programs import HERE, Missing, say
from benchmarks.overhead.requests import Call
from benchmarks.overhead.server import free_port
from config.servers.family import Child, Family
from config.servers.postgres import Postgres
from config.supervisor import Installation, answers

ROOT = HERE.parents[1]
_APPLICATION = "config.asgi:application"
UNRECORDED = "benchmarks.overhead.unrecorded:application"


class Site(Installation):
    """An installation whose web process may serve another application by the same command."""

    application = _APPLICATION

    def program(self, name: str, *command: str, vital: bool = True, stop_s: float = 10.0) -> Child:
        words = [self.application if word == _APPLICATION else word for word in command]
        return super().program(name, *words, vital=vital, stop_s=stop_s)


@dataclass(slots=True, kw_only=True)
class Product:
    site: Site
    cores: Cores
    with_sequencer: bool
    calls_of: dict[str, str]
    api_key: str

    def serve(self, *, name: str = "signalbox", application: str = _APPLICATION) -> Target:
        """One web process, exactly as the supervisor starts it, alone on the gateway's core."""
        port, site = free_port(), self.site
        site.application = application
        before = dict(site.env)
        site.env["SIGNALBOX_BENCH_UNRECORDED"] = "1" if application == UNRECORDED else ""
        with machine.on([self.cores.gateway]):
            child = site.start_web(port)
        site.env = before
        site.family.wait_for(child, answers(port, "/health/ready"), timeout_s=60)
        headers = {"authorization": f"Bearer {self.api_key}"}
        calls = {
            kind: Call(port=port, path="/v1/chat/completions", model=route, headers=headers)
            for kind, route in self.calls_of.items()
        }
        process = child.process
        if process is None:
            raise Missing("the web process did not start")
        return Target(
            name=name,
            title="Signalbox",
            calls=calls,
            pid=process.pid,
            stop=lambda: site.family.stop([child]),
            command=["python", *map(str, child.command[1:])],
        )

    def beside_us(self) -> dict[str, float]:
        """Processor microseconds per stored event of what runs beside the gateway."""
        events = self.ledger()["event"] or 1
        return {
            child.name: round(machine.cpu_s(child.process.pid) / events * 1e6, 1)
            for child in self.site.family.children
            if child.name in {"postgres", "sequencer"} and child.process is not None
        }

    def log_tail(self) -> str:
        log = self.site.places.logs / "web.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-5:])

    def ledger(self) -> dict[str, int]:
        """How many events are stored and sequenced: the proof that recording was on."""
        with psycopg.connect(self.site.made["DATABASE_URL"]) as connection:
            rows = {}
            for table in ("event", "leaf", "pending"):
                found = connection.execute(f"SELECT count(*) FROM audit.{table}").fetchone()  # noqa: S608
                rows[table] = int(found[0]) if found else 0
            fsync = connection.execute("SHOW fsync").fetchone()
            return {**rows, "fsync": int(fsync is not None and fsync[0] == "on")}


def _without_installation() -> None:
    """The shell may name somebody's real installation: a benchmark must never write into it."""
    for name in list(os.environ):
        if name.startswith(("DATABASE_", "BROKER_URL", "SIGNALBOX_")) and not name.startswith(
            "SIGNALBOX_BENCH"
        ):
            del os.environ[name]


@contextmanager
def product(
    *, folder: Path, upstream_ports: dict[str, int], cores: Cores, with_sequencer: bool
) -> Iterator[Product]:
    """PostgreSQL with fsync, migrated and seeded; web processes are started by ``serve``."""
    _without_installation()
    os.environ["SIGNALBOX_PRIVATE_BACKENDS"] = ",".join(
        f"127.0.0.1:{port}" for port in upstream_ports.values()
    )
    os.environ["SIGNALBOX_BENCH_UPSTREAM_KEY"] = "sk-fake"
    family = Family()
    site = Site(folder / "var", family)
    try:
        with machine.on(cores.rest):
            say("Starting PostgreSQL and setting the product up ...")
            site.places.prepare()
            site.start_engines()
            site.write_connection()
            site.prepare_database()
            facts = _seed(site, upstream_ports)
            if with_sequencer:
                family.start(site.program("sequencer", "manage.py", "sequencer"))
        yield Product(
            site=site,
            cores=cores,
            with_sequencer=with_sequencer,
            calls_of=facts["routes"],
            api_key=facts["api_key"],
        )
    finally:
        family.close()
        Postgres(places=site.places, port=0).forget()


def _seed(site: Site, ports: dict[str, int]) -> dict[str, dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.overhead.seed", json.dumps(ports)],
        cwd=ROOT,
        env=site.env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise Missing(f"The product could not be set up: {done.stderr.strip()[-600:]}")
    return json.loads(done.stdout.splitlines()[-1])
