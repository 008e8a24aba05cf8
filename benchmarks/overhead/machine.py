"""What this machine is, which core runs what, and who used the processor meanwhile."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

_TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
# A run during which strangers took more of the measured core than this is not clean.
CLEAN_SHARE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """The gateway under test has ``gateway`` to itself; all else runs on ``rest``."""

    gateway: int
    rest: frozenset[int]

    @property
    def pinned(self) -> bool:
        return self.gateway not in self.rest

    @classmethod
    def choose(cls) -> Cores:
        allowed = sorted(os.sched_getaffinity(0))
        return cls(gateway=allowed[0], rest=frozenset(allowed[1:] or allowed))


@contextmanager
def on(cores: Iterable[int]) -> Iterator[None]:
    """Whatever is started in this block runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cores))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family_of(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found, wanted = [], [pid]
    while wanted:
        one = wanted.pop()
        found.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                wanted += [int(word) for word in task.read_text().split()]
            except OSError:
                continue
    return found


def cpu_s(pid: int) -> float:
    """Processor seconds of a process tree, those that have ended included."""
    total = 0
    for one in family_of(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        # Own time, and that of children that have ended.
        total += sum(int(field) for field in fields[11:15])
    return total * _TICK_S


def pss_mb(pid: int) -> float:
    """Memory of a process tree in MB, shared pages by their share."""
    total = 0
    for one in family_of(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return round(total * 1024 / 1e6, 1)


def _busy_s(core: int) -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        words = line.split()
        if words[0] == f"cpu{core}":
            user, nice, system, _, _, irq, softirq, steal = map(int, words[1:9])
            return (user + nice + system + irq + softirq + steal) * _TICK_S
    return 0.0


@dataclass(slots=True, kw_only=True)
class Watch:
    """Processor time of a server, and of strangers on its core, between two moments."""

    core: int
    pid: int
    started: float = 0.0
    cpu_before: float = 0.0
    busy_before: float = 0.0

    def begin(self) -> Watch:
        self.started, self.cpu_before = monotonic(), cpu_s(self.pid)
        self.busy_before = _busy_s(self.core)
        return self

    def end(self) -> dict[str, float]:
        wall = monotonic() - self.started
        cpu = cpu_s(self.pid) - self.cpu_before
        strangers = max(0.0, _busy_s(self.core) - self.busy_before - cpu)
        return {
            "cpu_s": round(cpu, 3),
            "cores": round(cpu / wall, 3),
            "strangers": round(strangers / wall, 3),
        }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def facts(cores: Cores) -> dict[str, Any]:
    """What a reader must know of the machine; no names and no paths."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": ".".join(map(str, sys.version_info[:3])),
        "pinned": cores.pinned,
        "load_average_before": round(os.getloadavg()[0], 2),
    }
