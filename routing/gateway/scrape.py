"""Answers /metrics for all workers of one address: any of them is asked, all of them counted.

Each worker writes what it counted beside the others, from time to time; none of this is on the way
of a request. Counters and histograms are added up. A gauge is one worker's, so it carries its
``worker``. What ended workers counted is folded into one file, so no sum ever falls.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

log = logging.getLogger(__name__)

EVERY_S = 2.0
_ENDED = "ended.json"
Samples = list[dict[str, Any]]


def samples_of(registry: CollectorRegistry) -> Samples:
    """Every family with its samples, as JSON can hold it."""
    return [
        {
            "name": family.name,
            "words": family.documentation,
            "type": family.type,
            "samples": [
                [sample.name, sample.labels, sample.value]
                for sample in family.samples
                if not sample.name.endswith("_created")
            ],
        }
        for family in registry.collect()
    ]


def add_up(of_workers: Iterable[tuple[str, Samples]]) -> Samples:
    """One set of families: sums of counters and histograms, gauges by worker."""
    families: dict[str, dict[str, Any]] = {}
    sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for worker, samples in of_workers:
        for family in samples:
            families.setdefault(family["name"], family)
            kept = sums.setdefault(family["name"], {})
            for name, labels, value in family["samples"]:
                own = {"worker": worker} if family["type"] == "gauge" else {}
                key = (name, tuple(({**labels, **own}).items()))
                kept[key] = kept.get(key, 0.0) + value
    return [
        {
            **family,
            "samples": [[name, dict(labels), value] for (name, labels), value in kept.items()],
        }
        for family, kept in ((families[name], sums[name]) for name in families)
    ]


def as_text(families: Samples) -> bytes:
    class Held:
        def collect(self) -> Iterator[Metric]:
            for family in families:
                metric = Metric(family["name"], family["words"], family["type"])
                for name, labels, value in family["samples"]:
                    metric.add_sample(name, labels, value)
                yield metric

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Held())
    return generate_latest(registry)


class Scrape:
    """The file of this worker among those of its neighbours."""

    def __init__(self, folder: Path, read: Callable[[], CollectorRegistry]) -> None:
        self._folder = folder
        self._read = read
        self._name = _name_of(os.getpid())
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._fold_ended()
        self._task = asyncio.create_task(self._write_on(), name="metrics")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._write(samples_of(self._read()))

    async def text(self) -> bytes:
        """What all workers counted; of this one to the moment, of the others to EVERY_S."""
        return await asyncio.to_thread(self._merged, samples_of(self._read()))

    def _merged(self, own: Samples) -> bytes:
        found = [(self._name, own)]
        with self._alone():
            for path in sorted(self._folder.glob("*.json")):
                if path.stem == self._name:
                    continue
                is_running = path.name != _ENDED and _is_alive(path.stem)
                samples = _loaded(path)
                found.append((path.stem, samples if is_running else _without_gauges(samples)))
        return as_text(add_up(found))

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                samples = samples_of(self._read())
                await asyncio.to_thread(self._write, samples)
            except OSError as problem:
                log.warning("Metrics cannot be shared between workers: %s", problem)

    def _write(self, samples: Samples) -> None:
        path = self._folder / f"{self._name}.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(samples))
        fresh.replace(path)

    def _fold_ended(self) -> None:
        """What workers counted that are no more goes into one file, once."""
        with self._alone():
            gone = [
                path
                for path in self._folder.glob("*.json")
                if path.name != _ENDED and not _is_alive(path.stem)
            ]
            if not gone:
                return
            ended = self._folder / _ENDED
            parts = [_without_gauges(_loaded(path)) for path in [*gone, ended] if path.exists()]
            fresh = ended.with_suffix(".new")
            fresh.write_text(json.dumps(add_up(("", part) for part in parts)))
            fresh.replace(ended)
            for path in gone:
                path.unlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _loaded(path: Path) -> Samples:
    try:
        found: Samples = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return found


def _without_gauges(samples: Samples) -> Samples:
    return [family for family in samples if family["type"] != "gauge"]


def _name_of(pid: int) -> str:
    """A process id and when it began: a number alone is used again by others."""
    try:
        began = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        began = "0"
    return f"{pid}-{began}"


def _is_alive(name: str) -> bool:
    pid = int(name.partition("-")[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _name_of(pid) == name
