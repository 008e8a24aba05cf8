"""Gets the programs that a run needs: compiles ours, installs Debian's, says what is missing.

Everything lands in a cache folder outside the repository, never in the product's environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


class Missing(Exception):
    """A program cannot be had here; the message is what the result says about it."""


def cache_folder() -> Path:
    given = os.environ.get("SIGNALBOX_BENCH_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(given) if given else Path(base) / "signalbox-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def say(words: str) -> None:
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


def run_quietly(command: list[str], *, timeout_s: float = 900, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, cwd=cwd, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Missing(f"{Path(command[0]).name}: {type(problem).__name__}") from None
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Missing(f"{Path(command[0]).name} failed: {last[:200]}")


def compiled(name: str) -> Path:
    """The program ``name``.c of this folder, compiled once per content."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise Missing("no C compiler")
    source = HERE / f"{name}.c"
    mark = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    program = cache_folder() / f"{name}-{mark}"
    if not program.exists():
        fresh = program.with_suffix(f".{os.getpid()}")
        run_quietly([compiler, "-O2", "-o", str(fresh), str(source)])
        fresh.replace(program)
    return program


def debian(program: str, package: str) -> Path:
    """A program of Debian's; installed when it is missing and we are root."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    found = shutil.which(program, path=search)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"Installing {package} ...")
        try:
            run_quietly(["apt-get", "update", "-qq"])
            environment = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
            run_quietly(
                [
                    *environment,
                    "apt-get",
                    "install",
                    "-y",
                    "-qq",
                    "--no-install-recommends",
                    package,
                ]
            )
        except Missing as problem:
            raise Missing(f"{package} cannot be installed ({problem})") from None
        found = shutil.which(program, path=search)
    if found is None:
        raise Missing(f"{program} is not installed (Debian's package {package})")
    return Path(found)
