"""A plant of real processes to break: an own PostgreSQL, a sequencer, and any number of gateways.

Each gateway may reach the database through a ``Line`` that a test holds or cuts. Nothing here is
started by name or found by name, so that many plants share one machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg

from config.servers.family import Child, Family
from config.servers.places import Places
from config.servers.postgres import SUPERUSER, Postgres
from tests.faults.backend import Backend
from tests.faults.background import Background
from tests.faults.proxy import Line, Proxy
from tests.installation import ROOT, free_port

_ITS_OWN = ("DATABASE_", "BROKER_URL", "SIGNALBOX_", "PG")


def eventually(check: Callable[[], Any], timeout_s: float = 15.0, what: str = "it") -> Any:
    """Return the first true value of ``check``; its errors count as not yet."""
    ends = time.monotonic() + timeout_s
    while True:
        found: Any = None
        with suppress(httpx.HTTPError, psycopg.Error, OSError, LookupError):
            found = check()
        if found:
            return found
        if time.monotonic() > ends:
            raise TimeoutError(f"{what} did not happen within {timeout_s:g} s")
        time.sleep(0.05)


@dataclass(slots=True, kw_only=True)
class GatewayProcess:
    """One process that serves on a port of its own, and its client."""

    name: str
    child: Child
    port: int
    var: Path
    key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.child.process is not None
        return self.child.process.pid

    def ready(self) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/health/ready", timeout=3)
        return dict(answer.json()) if answer.status_code == 200 else {}

    def ask(self, route: str = "near", *, timeout_s: float = 15, **headers: str) -> httpx.Response:
        return httpx.post(
            f"{self.url}/v1/chat/completions",
            json=question(route),
            headers={"authorization": f"Bearer {self.key}", **headers},
            timeout=timeout_s,
        )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def ended(self, timeout_s: float = 20) -> int:
        assert self.child.process is not None
        return self.child.process.wait(timeout_s)

    def pss_kb(self) -> int:
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
        return 0

    def gauge(self, name: str) -> float:
        """The worst that its workers say: the lowest value of a gauge of /metrics."""
        text = httpx.get(f"{self.url}/metrics", timeout=3).text
        return min(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith((f"signalbox_{name}{{", f"signalbox_{name} "))
        )

    def log(self) -> str:
        return self.child.log.read_text(errors="replace")


def question(route: str = "near", *, stream: bool = False, text: str = "Where is it?") -> Any:
    return {"model": route, "stream": stream, "messages": [{"role": "user", "content": text}]}


class Plant:
    """``near`` and ``spare`` are private backends, ``cloud`` is public and signed off."""

    def __init__(self, var: Path) -> None:
        self.places = Places(var)
        self.places.prepare()
        for name in ("audit.key", "payload.key"):
            self.places.key_file(name)
        self.family = Family()
        self.background = Background()
        self.server = Postgres(places=self.places, port=self.places.port("postgres"))
        self.backends = {name: Backend() for name in ("near", "spare", "cloud")}
        self.proxies: dict[str, Proxy] = {}
        self.lines: list[Line] = []
        self.gateways: list[GatewayProcess] = []
        self.key = ""

    def start(self) -> None:
        self.server.prepare()
        self.postgres = self.server.child(env=dict(os.environ))
        self.start_postgres()
        self.server.make_roles()
        for name, backend in self.backends.items():
            self.background.call(backend.start())
            self.proxies[name] = Proxy(target=("127.0.0.1", backend.port))
            self.background.call(self.proxies[name].start())
        self.manage("migrate", "--database=owner", "--no-input", "--skip-checks")
        ports = {name: proxy.port for name, proxy in self.proxies.items()}
        self.key = self.world("seed", ports)["api_key"]
        self.start_sequencer()

    def stop(self) -> None:
        for pid in self._postgres_pids():
            with suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        for line in self.lines:
            line.release()
        self.family.close()
        for line in self.lines:
            self.background.call(line.stop())
        for proxy in self.proxies.values():
            self.background.call(proxy.stop())
        self.background.close()
        self.server.forget()

    # The database

    def start_postgres(self) -> None:
        self.family.start(self.postgres)
        eventually(self.server.ready, 30, "PostgreSQL")

    def kill_postgres(self) -> None:
        """SIGKILL for every process of it, as when the machine's memory runs out."""
        assert self.postgres.process is not None
        # Stopped first: a connection accepted while its processes are counted would outlive it and
        # keep the shared memory, and the next start is refused for that.
        self.postgres.process.send_signal(signal.SIGSTOP)
        for pid in self._postgres_pids():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.postgres.process.wait(10)

    def stop_postgres(self) -> None:
        """A fast shutdown, as for a restart."""
        assert self.postgres.process is not None
        self.postgres.process.send_signal(signal.SIGINT)
        self.postgres.process.wait(20)

    def freeze_postgres(self, *, frozen: bool) -> None:
        for pid in self._postgres_pids():
            with suppress(OSError):
                os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def _postgres_pids(self) -> list[int]:
        if not getattr(self, "postgres", None) or not self.postgres.alive:
            return []
        assert self.postgres.process is not None
        head = self.postgres.process.pid
        found = [head]
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError, IndexError):
                if entry.name.isdigit():
                    after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(after_name[1]) == head:
                        found.append(int(entry.name))
        return found

    def line(self, *, only: bytes = b"") -> Line:
        made = Line(("127.0.0.1", self.server.port), only=only)
        self.background.call(made.start())
        self.lines.append(made)
        return made

    def url(self, role: str, *, port: int | None = None) -> str:
        url = self.server.url(role)
        return url.replace(f":{self.server.port}/", f":{port}/") if port else url

    def as_superuser(self, *statements: str) -> None:
        with psycopg.connect(
            host="127.0.0.1",
            port=self.server.port,
            user=SUPERUSER,
            password=self.places.secret(SUPERUSER),
            dbname="signalbox",
            autocommit=True,
        ) as connection:
            for statement in statements:
                connection.execute(statement)

    # Programs of the product

    def environment(self, *, port: int | None = None, **more: str) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(_ITS_OWN)}
        return {
            **clean,
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": self.url("signalbox_app", port=port),
            "DATABASE_OWNER_URL": self.url("signalbox_owner"),
            "DATABASE_SEQUENCER_URL": self.url("signalbox_sequencer"),
            # Nobody is there: the live path must not need a broker.
            "BROKER_URL": "redis://127.0.0.1:1/0",
            "SIGNALBOX_VAR_DIR": str(self.places.var),
            "SIGNALBOX_AUDIT_KEY_FILE": str(self.places.keys / "audit.key"),
            "SIGNALBOX_PAYLOAD_KEY_FILE": str(self.places.keys / "payload.key"),
            "SIGNALBOX_SECRET_KEY_FILE": str(self.places.keys / "secret.key"),
            "SIGNALBOX_ANCHOR_FILE": str(self.places.var / "anchors.txt"),
            "SIGNALBOX_PRIVATE_BACKENDS": "127.0.0.1:*",
            **more,
        }

    def _run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{words}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
        return done

    def manage(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._run("manage.py", *words, check=check)

    def world(self, verb: str, given: Any) -> dict[str, Any]:
        done = self._run("-m", "tests.faults.world", verb, json.dumps(given))
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))

    def start_sequencer(self) -> Child:
        self.sequencer = self._child("sequencer", "manage.py", "sequencer")
        return self.family.start(self.sequencer)

    def _child(
        self, name: str, *words: str, env: dict[str, str] | None = None, stop_s: float = 10
    ) -> Child:
        return Child(
            name=name,
            command=[sys.executable, *words],
            env=env or self.environment(),
            cwd=ROOT,
            log=self.places.logs / f"{name}.log",
            stop_s=stop_s,
        )

    def gateway(
        self,
        name: str,
        *,
        line: Line | None = None,
        wait: bool = True,
        grace_s: int = 3,
        **env: str,
    ) -> GatewayProcess:
        """Start one, alone on its port, with a var folder of its own kept between two starts."""
        port, var = free_port(), self.places.var / name
        var.mkdir(exist_ok=True)
        full = self.environment(
            port=line.port if line else None,
            **{"SIGNALBOX_ROLE": "gateway", "SIGNALBOX_VAR_DIR": str(var), **env},
        )
        words = (
            *("-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1"),
            *("--port", str(port), "--loop", "uvloop", "--http", "httptools"),
            *("--no-access-log", "--timeout-graceful-shutdown", str(grace_s)),
        )
        child = self._child(name, *words, env=full)
        self.family.start(child)
        made = GatewayProcess(name=name, child=child, port=port, var=var, key=self.key)
        self.gateways.append(made)
        if wait:
            eventually(made.ready, 40, f"{name} ready")
        return made

    # What was recorded

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url("signalbox_app")) as connection:
            return connection.execute(query, values).fetchall()

    def kinds(self, *, request_id: str = "", decision_id: str = "") -> list[str]:
        """The events of one request, in order."""
        where, value = (
            ("decision_id = %s", UUID(decision_id))
            if decision_id
            else ("request_id = %s", request_id)
        )
        found = self.rows(f"SELECT kind FROM audit.event WHERE {where} ORDER BY at", value)
        return [kind for (kind,) in found]

    def end_of(self, request_id: str) -> dict[str, Any]:
        [(body,)] = self.rows(
            "SELECT convert_from(body, 'UTF8')::json FROM audit.event "
            "WHERE request_id = %s AND kind <> 'decision.made'",
            request_id,
        )
        return dict(body)

    def reaped(self, request_id: str, timeout_s: float = 40) -> list[str]:
        """Let the reaper find a decision that nobody ended, and return its events."""
        decision = str(
            self.rows(
                "SELECT decision_id FROM audit.event WHERE request_id = %s LIMIT 1", request_id
            )[0][0]
        )

        def is_ended() -> list[str]:
            self.world("reap", 60)
            kinds = self.kinds(decision_id=decision)
            return kinds if len(kinds) > 1 else []

        return list(eventually(is_ended, timeout_s, "the reaper's end"))

    def fsck(self) -> subprocess.CompletedProcess[str]:
        return self.manage("audit_fsck", check=False)
