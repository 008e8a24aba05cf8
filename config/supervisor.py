"""Starts and watches everything on one machine: ``./run``, and the servers under ``./test``.

Decides what runs and in which order; how each server is run is in ``config/servers``. Given
DATABASE_URL or BROKER_URL, that part is someone else's and is not started here.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from config.servers import small_model
from config.servers.family import Child, ChildFailed, Family, StopAsked, die_with, say
from config.servers.places import AlreadyRunning, Places, port_is_free, write_private
from config.servers.postgres import Postgres
from config.servers.valkey import Valkey

ROOT = Path(__file__).resolve().parent.parent
QUEUES = "default,shadow,reports"


def answers(port: int, path: str) -> Callable[[], bool]:
    """A check that a server on this machine answers an address with 200."""

    def check() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


class Installation:
    """One var folder and what runs on it. ``env`` grows as parts come up: the children's contract
    is the environment, and ``var/connection.json`` is the same contract for other terminals."""

    def __init__(self, var: Path, family: Family, *, durable: bool = True) -> None:
        self.places = Places(var)
        self.family = family
        self.durable = durable
        self.made: dict[str, str] = {}
        self.env = dict(os.environ) | {"SIGNALBOX_VAR_DIR": str(self.places.var)}
        self.env |= {"PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "config.settings"}

    def export(self, **values: str) -> None:
        self.made |= values
        self.env |= values

    def write_connection(self) -> None:
        write_private(self.places.var / "connection.json", json.dumps(self.made, indent=1) + "\n")

    def program(
        self, name: str, *command: str, vital: bool = True, stop_s: float = 10.0, once: bool = False
    ) -> Child:
        return Child(
            name=name,
            command=[sys.executable, *command],
            env=self.env,
            cwd=ROOT,
            log=self.places.logs / f"{name}.log",
            vital=vital,
            stop_s=stop_s,
            once=once,
        )

    def start_engines(self) -> None:
        """PostgreSQL and the broker, unless the environment names others."""
        valkey = None
        if "BROKER_URL" not in os.environ:
            valkey = Valkey(places=self.places, port=self.places.port("valkey"))
            broker = self.family.start(valkey.child(env=self.env))
        if "DATABASE_URL" not in os.environ:
            self._start_postgres()
        else:
            given = os.environ["DATABASE_URL"]
            self.env.setdefault("DATABASE_OWNER_URL", given)
            self.env.setdefault("DATABASE_SEQUENCER_URL", given)
        if valkey is not None:
            self.family.wait_for(broker, valkey.ready, timeout_s=20)
            self.export(BROKER_URL=valkey.url())
        if self.env.get("SIGNALBOX_ENV") != "production":
            self.places.key_file("audit.key")
            self.places.key_file("payload.key")

    def _start_postgres(self) -> None:
        server = Postgres(
            places=self.places, port=self.places.port("postgres"), durable=self.durable
        )
        server.prepare()
        child = self.family.start(server.child(env=self.env))
        self.family.wait_for(child, server.ready, timeout_s=60)
        server.make_roles()
        self.export(
            DATABASE_URL=server.url("signalbox_app"),
            DATABASE_OWNER_URL=server.url("signalbox_owner"),
            DATABASE_SEQUENCER_URL=server.url("signalbox_sequencer"),
            DATABASE_READER_URL=server.url("signalbox_reader"),
        )

    def start_backends(self, *, small: bool) -> list[Child]:
        """The demo backends. Nothing waits for them: a router runs with backends that are down."""
        slm, llm = self.places.port("slm"), self.places.port("llm")
        allowed = os.environ.get("SIGNALBOX_PRIVATE_BACKENDS")
        local = f"127.0.0.1:{slm},127.0.0.1:{llm}"
        real = small and small_model.weights() is not None
        self.export(
            SIGNALBOX_SLM_URL=f"http://127.0.0.1:{slm}/v1",
            SIGNALBOX_SLM_KEY=self.places.secret("slm"),
            SIGNALBOX_SLM_MODEL=small_model.MODEL_ID if real else "stand-in-small",
            SIGNALBOX_LLM_URL=f"http://127.0.0.1:{llm}/v1",
            SIGNALBOX_LLM_KEY=self.places.secret("llm"),
            SIGNALBOX_LLM_MODEL="stand-in-large",
            SIGNALBOX_PRIVATE_BACKENDS=",".join(filter(None, (allowed, local))),
        )
        stand_in = ("-m", "config.servers.stand_in")
        first: tuple[str, ...]
        if real:
            first = ("-m", "config.servers.small_model", "--port", str(slm))
        else:
            first = (*stand_in, "--port", str(slm), "--model", "stand-in-small")
            first += ("--key-from", "SIGNALBOX_SLM_KEY", "--first-ms", "40", "--piece-ms", "2")
        small_child = self.program("small-model", *first, vital=False, stop_s=5)
        large_child = self.program("stand-in", *stand_in, "--port", str(llm), vital=False, stop_s=5)
        return [self.family.start(small_child), self.family.start(large_child)]

    def prepare_database(self) -> None:
        # The checks belong to ./test; here they would load every view before the first query.
        unattended = ("--no-input", "--skip-checks")
        self.family.run(
            self.program("migrate", "manage.py", "migrate", "--database=owner", *unattended)
        )

    def seed(self) -> None:
        if any(ROOT.glob("*/management/commands/demo.py")):
            self.family.run(self.program("demo", "manage.py", "demo", "--skip-checks"))

    def start_web(self, port: int) -> Child:
        return self.family.start(
            self.program(
                "web",
                *("-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1"),
                *("--port", str(port), "--loop", "uvloop", "--http", "httptools"),
                *("--no-access-log", "--no-server-header", "--timeout-keep-alive", "75"),
                *("--timeout-graceful-shutdown", "8"),
            )
        )

    def start_workers(self) -> list[Child]:
        celery = ("-m", "celery", "-A", "config")
        worker = ("worker", "-c", "2", "-Q", QUEUES, "-l", "INFO", "--without-mingle")
        schedule = self.places.var / "beat-schedule"
        schedule.mkdir(exist_ok=True)
        beat = ("beat", "-l", "INFO", "-s", str(schedule / "beat"), "--pidfile=")
        programs = [
            self.program("worker", *celery, *worker),
            self.program("beat", *celery, *beat, stop_s=5),
        ]
        if any(ROOT.glob("*/management/commands/sequencer.py")):
            programs.append(self.program("sequencer", "manage.py", "sequencer"))
        return [self.family.start(program) for program in programs]

    def forget(self) -> None:
        Postgres(places=self.places, port=0).forget()
        self.places.forget()


def run(chosen: argparse.Namespace, family: Family) -> int:
    begin = time.monotonic()
    var = Path(os.environ.get("SIGNALBOX_VAR_DIR") or ROOT / "var")
    site = Installation(var, family)
    _lock = site.places.lock()
    if not port_is_free(chosen.port):
        raise ChildFailed(
            f"Port {chosen.port} is taken. Choose another: ./run --port {chosen.port + 1}"
        )
    if chosen.fresh:
        if "DATABASE_URL" in os.environ:
            raise ChildFailed("--fresh forgets embedded data only; DATABASE_URL names another's.")
        site.forget()
    site.places.prepare()
    url = f"http://127.0.0.1:{chosen.port}"
    site.export(SIGNALBOX_URL=url)
    small, large = site.start_backends(small=not chosen.no_slm)
    site.start_engines()
    site.write_connection()
    site.prepare_database()
    facts = site.places.var / "demo.json"
    if facts.exists():
        # Set up by an earlier start: the router serves while that is checked.
        web = site.start_web(chosen.port)
        site.seed()
    else:
        site.seed()
        web = site.start_web(chosen.port)
    family.wait_for(web, answers(chosen.port, "/health/ready"), timeout_s=60)
    workers = site.start_workers()
    for child in workers:
        say(child.name, "started")
    _print_summary(facts, url, time.monotonic() - begin)
    waiting = {small.name: (small, "SLM"), large.name: (large, "LLM")}
    if not chosen.no_sample_traffic:
        # Once, beside everything else: so that every screen has something real to show.
        family.start(
            site.program("sample-traffic", "manage.py", "demo_traffic", vital=False, once=True)
        )
    try:
        while True:
            family.watch()
            _note_ready_backends(site, waiting)
            time.sleep(0.1)
    finally:
        say("stopping", "web, then workers, then servers")
        family.stop([web])
        family.stop(workers)


def _note_ready_backends(site: Installation, waiting: dict[str, tuple[Child, str]]) -> None:
    for name, (child, kind) in list(waiting.items()):
        if child.gave_up:
            del waiting[name]
        elif answers(
            int(site.made[f"SIGNALBOX_{kind}_URL"].split(":")[2].split("/")[0]), "/health"
        )():
            say(name, f"{site.made[f'SIGNALBOX_{kind}_MODEL']} ready")
            del waiting[name]


def _print_summary(facts_file: Path, url: str, seconds: float) -> None:
    facts = json.loads(facts_file.read_text()) if facts_file.exists() else {}
    lines = ["", f"Signalbox is up at {url} ({seconds:.1f} s).", ""]
    if people := facts.get("people"):
        lines.append("Sign in as:")
        for person in people:
            roles = ", ".join(person.get("roles", ()))
            lines.append(f"  {person['name']:<16} {person['password']:<28} {roles}")
        lines.append("")
    if key := facts.get("api_key"):
        routes = [r["slug"] if isinstance(r, dict) else r for r in facts.get("routes", ())]
        body: dict[str, object] = {"model": (routes or ["support-triage"])[0]}
        body |= {"messages": [{"role": "user", "content": "How do I reset my password?"}]}
        lines += [
            f"API key: {key}",
            "Send a request:",
            f"  curl -s {url}/v1/chat/completions -H 'Authorization: Bearer {key}' \\",
            f"    -H 'Content-Type: application/json' -d '{json.dumps(body)}'",
            "",
        ]
    lines.append("Ctrl-C stops everything. Logs are in var/log.")
    sys.stdout.write("\n".join(lines) + "\n\n")
    sys.stdout.flush()


def with_servers(chosen: argparse.Namespace, family: Family) -> int:
    """Run one command with PostgreSQL and Valkey of its own, in a var folder that goes with it."""
    var = Path(tempfile.mkdtemp(prefix="signalbox-test-"))
    site = Installation(var, family, durable=False)
    try:
        site.places.prepare()
        site.start_engines()
        site.write_connection()
        # In our own process group: the terminal's Ctrl-C must reach a test run directly.
        command = subprocess.Popen(
            chosen.command,
            env=site.env,
            preexec_fn=die_with(os.getpid(), signal.SIGTERM),
        )
        try:
            while command.poll() is None:
                family.watch()
                time.sleep(0.05)
        except (StopAsked, ChildFailed):
            command.terminate()
            command.wait(20)
            raise
        return command.returncode if command.returncode >= 0 else 128 - command.returncode
    finally:
        family.stop()
        Postgres(places=site.places, port=0).forget()
        shutil.rmtree(var, ignore_errors=True)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="config.supervisor", description=__doc__)
    commands = parser.add_subparsers(dest="verb", required=True)
    runs = commands.add_parser("run", prog="./run", help="start everything on this machine")
    runs.add_argument("--port", type=int, default=8000, help="port of the web server (8000)")
    runs.add_argument("--no-slm", action="store_true", help="both demo backends are stand-ins")
    runs.add_argument(
        "--no-sample-traffic", action="store_true", help="begin without the sample requests"
    )
    runs.add_argument("--fresh", action="store_true", help="forget the data of earlier runs first")
    serves = commands.add_parser("with-servers", help="run a command with temporary servers")
    serves.add_argument("command", nargs="+", help="after --")
    return parser.parse_args(arguments)


def main() -> int:
    chosen = parse(sys.argv[1:])
    family = Family()
    family.listen()
    try:
        return {"run": run, "with-servers": with_servers}[chosen.verb](chosen, family)
    except StopAsked:
        return 0 if chosen.verb == "run" else 130
    except (ChildFailed, AlreadyRunning) as problem:
        sys.stderr.write(f"\n{problem}\n")
        return 1
    finally:
        family.close()


if __name__ == "__main__":
    sys.exit(main())
