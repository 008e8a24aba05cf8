"""A server that the benchmark starts: on chosen cores, on 127.0.0.1, ended by its process id."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.overhead import machine
from benchmarks.overhead.programs import Missing
from config.servers.family import die_with


def free_port() -> int:
    """A port below the range of client ports, so that no client of ours sits on it."""
    for port in random.sample(range(20_000, 30_000), 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise Missing("no free port")


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def gets_200(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@dataclass(slots=True, kw_only=True)
class Server:
    name: str
    command: list[str]
    log: Path
    cores: Iterable[int]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        with machine.on(self.cores), self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with(os.getpid(), signal.SIGTERM),
            )
        return self

    @property
    def pid(self) -> int:
        if self.process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self.process.pid

    def wait_until(self, port: int, path: str | None = None, *, timeout_s: float = 90) -> None:
        ends = time.monotonic() + timeout_s
        while time.monotonic() < ends:
            if self.process is None or self.process.poll() is not None:
                break
            if accepts(port) if path is None else gets_200(port, path):
                return
            time.sleep(0.1)
        lines = self.log.read_text(errors="replace").strip().splitlines()
        self.stop()
        raise Missing(f"{self.name} did not start: {lines[-1][:200] if lines else 'no output'}")

    def stop(self) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(8)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None
