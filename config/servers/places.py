"""Where the embedded servers keep things under ``var``: ports, passwords, logs, key files.

A port or password once chosen is kept, so that addresses registered in the database stay true.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import random
import secrets
import shutil
import socket
import tempfile
from pathlib import Path

# Below the ranges from which systems hand out client ports, so that no client sits on ours.
PORTS = range(20_000, 30_000)

# Everything a run makes; --fresh removes these and nothing else that someone may keep in var.
MADE_BY_RUN = (
    "anchors",
    "beat-schedule",
    "connection.json",
    "demo.json",
    "keys",
    "log",
    "ports.json",
    "postgres",
    "reports",
    "snapshot.json",
    "static",
    "valkey",
)


class AlreadyRunning(Exception):
    """Another supervisor holds this var folder."""


def port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a connection in TIME_WAIT is no reason to call a port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    partial.replace(path)


class Places:
    """The var folder of one installation."""

    def __init__(self, var: Path) -> None:
        self.var = var.resolve()
        self.keys = self.var / "keys"
        self.logs = self.var / "log"

    def prepare(self) -> None:
        self.var.mkdir(parents=True, exist_ok=True)
        # As root, PostgreSQL runs as another user who must be able to pass through.
        self.var.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in (self.keys, self.logs):
            folder.mkdir(exist_ok=True, mode=0o700)

    def lock(self) -> int:
        """Hold the folder until this process ends, however it ends."""
        self.var.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.var / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise AlreadyRunning(f"Signalbox is already running on {self.var}.") from None
        return handle

    def forget(self) -> None:
        for name in MADE_BY_RUN:
            path = self.var / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def outside(self) -> Path:
        """A folder other users can pass through, for when var is under one they cannot."""
        name = "signalbox-" + hashlib.sha256(str(self.var).encode()).hexdigest()[:16]
        for parent in (Path("/var/lib"), Path(tempfile.gettempdir())):
            if os.access(parent, os.W_OK):
                return parent / name
        raise RuntimeError(f"No folder found that other users can reach beside {self.var}.")

    def port(self, name: str) -> int:
        """The kept port of a server, or another one when something else took it meanwhile."""
        path = self.var / "ports.json"
        ports = json.loads(path.read_text()) if path.exists() else {}
        kept = ports.get(name)
        if kept is not None and port_is_free(kept):
            return int(kept)
        taken = set(ports.values())
        candidates = random.sample(PORTS, 200)
        ports[name] = next(p for p in candidates if p not in taken and port_is_free(p))
        write_private(path, json.dumps(ports, indent=1))
        return int(ports[name])

    def secret(self, name: str) -> str:
        """The kept password or key of this name; made on first use, safe inside an address."""
        path = self.keys / f"{name}.password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24) + "\n")
        return path.read_text().strip()

    def key_file(self, name: str) -> Path:
        """A file with 32 random bytes in base64, one line, as the audit and payload keys are."""
        path = self.keys / name
        if not path.exists():
            write_private(path, base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        return path
