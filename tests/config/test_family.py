"""Children are restarted, given up and ended as promised."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config.servers.family import Child, ChildFailed, Family
from config.servers.places import Places

ROOT = Path(__file__).resolve().parents[2]
LASTING = "import time; time.sleep(60)"
# A worker with a pool: the grandchild ignores a polite request and names the test's folder.
STUBBORN_POOL = (
    "import subprocess, sys, time;"
    "subprocess.Popen([sys.executable, '-c', 'import signal, time;"
    " signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)', sys.argv[1]]);"
    "time.sleep(60)"
)


def child_of(places: Places, script: str, *, vital: bool = True) -> Child:
    return Child(
        name="child",
        command=[sys.executable, "-c", script, str(places.var)],
        env=dict(os.environ),
        cwd=ROOT,
        log=places.logs / "child.log",
        vital=vital,
        stop_s=1,
    )


def watch_until(family: Family, check: Callable[[], object]) -> Callable[[], bool]:
    def step() -> bool:
        family.watch()
        return bool(check())

    return step


def test_killed_child_is_running_again_within_two_seconds(places, family, eventually):
    child = family.start(child_of(places, LASTING))
    first = child.process.pid

    os.kill(first, signal.SIGKILL)

    restarted = watch_until(family, lambda: child.alive and child.process.pid != first)
    eventually(restarted, "another process", 2)


def test_vital_child_that_keeps_ending_stops_the_run_and_shows_its_last_words(
    places, family, eventually
):
    family.start(child_of(places, "import sys; sys.exit('no such table')"))

    with pytest.raises(ChildFailed, match="no such table"):
        eventually(watch_until(family, lambda: False), "never", 30)


def test_demo_backend_that_keeps_ending_is_given_up_without_stopping_the_run(
    places, family, eventually
):
    child = family.start(child_of(places, "raise SystemExit(1)", vital=False))

    eventually(watch_until(family, lambda: child.gave_up), "given up", 30)


def test_failed_step_raises_with_its_log(places, family):
    with pytest.raises(ChildFailed, match="half a migration"):
        family.run(child_of(places, "raise SystemExit('half a migration')"))


def test_stopping_a_worker_ends_its_pool_too(places, family, eventually, processes_naming):
    family.start(child_of(places, STUBBORN_POOL))
    eventually(lambda: len(processes_naming(str(places.var))) == 2, "worker and pool")

    family.stop()

    eventually(lambda: not processes_naming(str(places.var)), "nobody left", 2)


def test_killed_supervisor_leaves_no_child_and_no_grandchild(places, eventually, processes_naming):
    supervisor = (
        "import sys, time; from pathlib import Path;"
        "from config.servers.family import Child, Family;"
        "var = Path(sys.argv[1]); family = Family();"
        "family.start(Child(name='child', command=[sys.executable, '-c', sys.argv[2], str(var)],"
        " env={}, cwd=var, log=var / 'log' / 'child.log'));"
        "time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", supervisor, str(places.var), STUBBORN_POOL], cwd=ROOT
    )
    eventually(lambda: len(processes_naming(str(places.var))) == 3, "parent, worker and pool")

    parent.kill()
    parent.wait(5)

    eventually(lambda: not processes_naming(str(places.var)), "nobody left", 15)
