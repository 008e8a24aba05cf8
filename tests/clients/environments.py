"""Environments of the clients: each package where no other can bend it, made once per lock."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "signalbox-clients"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _quietly(*command: str, cwd: Path | None = None) -> None:
    environment = {**os.environ, "UV_SYSTEM_CERTS": "true"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def python_with(name: str) -> str:
    """The Python of the environment that ``<name>.lock`` describes. Raises RuntimeError."""
    lock = HERE / f"{name}.lock"
    mark = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = _cache() / f"{name}-{mark}"
    python = folder / "bin" / "python"
    with (_cache() / f"{name}.busy").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            uv = str(Path(sys.executable).parent / "uv")
            _quietly(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
            _quietly(
                uv, "pip", "sync", "--quiet", "--python", str(python), "--require-hashes", str(lock)
            )
            (folder / "complete").touch()
    return str(python)


def node_folder() -> Path:
    """A folder with the locked packages for Node and our scripts. Raises RuntimeError."""
    source = HERE / "node"
    _node()
    mark = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = _cache() / f"node-{mark}"
    with (_cache() / "node.busy").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(source / name, folder)
            _quietly("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
            (folder / "complete").touch()
    for script in source.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def _node() -> None:
    if shutil.which("node") and shutil.which("npm"):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise RuntimeError("The client for Node needs node and npm: apt-get install nodejs npm")
    _quietly("apt-get", "update", "-qq")
    _quietly("apt-get", "install", "-y", "-qq", "--no-install-recommends", "nodejs", "npm")
