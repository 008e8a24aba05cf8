"""Real servers for the supervisor's tests: each test starts its own and ends what it started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.servers.family import Family
from config.servers.places import Places

ROOT = Path(__file__).resolve().parents[2]
OURS = ("DATABASE_", "BROKER_", "SIGNALBOX_", "PG", "PYTEST_")


def clean_environment() -> dict[str, str]:
    """The caller's environment without the servers that the test run itself stands on."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait until something becomes true, and fail in words when it does not."""

    def wait(check: Callable[[], object], words: str, timeout_s: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not check():
            assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {words}"
            time.sleep(0.05)

    return wait


@pytest.fixture
def var() -> Iterator[Path]:
    # Not tmp_path: pytest keeps that under a folder that only the owner can pass through.
    with tempfile.TemporaryDirectory(prefix="signalbox-test-") as folder:
        yield Path(folder)


@pytest.fixture
def places(var: Path) -> Places:
    made = Places(var)
    made.prepare()
    return made


@pytest.fixture
def family() -> Iterator[Family]:
    made = Family()
    yield made
    made.close()


@pytest.fixture
def processes_naming() -> Callable[[str], list[int]]:
    """The processes whose command line, environment or open folder names a text."""

    def named(text: str) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
                words += bytes((folder / "cwd").readlink())  # servers overwrite the other two
            except OSError:
                continue
            if text.encode() in words:
                found.append(int(folder.name))
        return found

    return named


class Session:
    """One ``with-servers`` run whose command reports its environment and then waits."""

    def __init__(self, report: Path) -> None:
        script = (
            "import json, os, sys, time;"
            "open(sys.argv[1] + '.new', 'w').write(json.dumps(dict(os.environ)));"
            "os.rename(sys.argv[1] + '.new', sys.argv[1]);"
            "time.sleep(120)"
        )
        self.report = report
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "config.supervisor", "with-servers", "--"),
                *(sys.executable, "-c", script, str(report)),
            ],
            cwd=ROOT,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def started(self) -> bool:
        return self.report.exists()

    @property
    def env(self) -> dict[str, str]:
        return dict(json.loads(self.report.read_text()))


@pytest.fixture
def session(tmp_path: Path, eventually: Callable[..., None]) -> Iterator[Session]:
    made = Session(tmp_path / "environment.json")
    try:
        eventually(lambda: made.started, "the servers are up", 60)
        yield made
    finally:
        made.process.terminate()
        made.process.wait(30)
        assert made.process.stdout is not None
        made.process.stdout.close()
        # A killed supervisor cannot clear up after itself.
        shutil.rmtree(made.env["SIGNALBOX_VAR_DIR"], ignore_errors=True)
