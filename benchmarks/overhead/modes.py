"""What is measured, one method per mode: interleaved and shuffled rounds, and their medians."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.overhead.loads import Loads
from benchmarks.overhead.machine import CLEAN_SHARE, Cores, Watch, pss_mb
from benchmarks.overhead.peers import Target
from benchmarks.overhead.programs import say

Run = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How long a run takes. Everything is bounded in time or in count."""

    rounds: int
    seconds: float
    pairs: int
    many_requests: int
    settle_s: float = 0.3


FULL = Size(rounds=3, seconds=3, pairs=500, many_requests=100_000)
QUICK = Size(rounds=3, seconds=1, pairs=120, many_requests=10_000)


def _per_s(found: Run) -> float:
    return found["requests"] / found["seconds"] if found["seconds"] else 0.0


def summarise(runs: Sequence[Run]) -> Run:
    """Medians over the clean runs of one target in one mode, or over all where none is clean.

    One run: requests, errors, seconds, total_us {p50, p99}, and of the server cpu_s, cores and
    strangers (the share of its core that other processes took).
    """
    clean = [run for run in runs if run.get("strangers", 0.0) <= CLEAN_SHARE]
    chosen = clean or list(runs)
    if not any(run["requests"] for run in chosen):
        return {"per_s": 0.0, "errors": sum(run["errors"] for run in runs), "runs": len(runs)}
    answered = [run for run in chosen if run["requests"]]
    made: Run = {
        "per_s": round(median(map(_per_s, answered)), 1),
        "p50_ms": round(median(run["total_us"]["p50"] for run in answered) / 1000, 3),
        "p99_ms": round(median(run["total_us"]["p99"] for run in answered) / 1000, 3),
        "errors": sum(run["errors"] for run in runs),
        "runs": len(runs),
        "clean": len(clean),
        "each_per_s": [round(_per_s(run), 1) for run in runs],
    }
    if "cpu_s" in answered[0]:
        made["cpu_us"] = round(median(run["cpu_s"] / run["requests"] * 1e6 for run in answered), 1)
        made["cores"] = round(median(run["cores"] for run in answered), 3)
    return made


def summarise_pairs(runs: Sequence[Run]) -> Run:
    """What a target adds to its base in ms: differences of the percentiles of one run."""
    answered = [run for run in runs if "total_us" in run and "base_total_us" in run]
    made: Run = {"errors": sum(run["errors"] for run in runs), "runs": len(runs)}
    if not answered:
        return made
    for what in ("total", "first"):
        for p in ("p50", "p99"):
            added = [run[f"{what}_us"][p] - run[f"base_{what}_us"][p] for run in answered]
            made[f"{what}_added_{p}_ms"] = round(median(added) / 1000, 3)
    made["p50_ms"] = round(median(run["total_us"]["p50"] for run in answered) / 1000, 3)
    made["base_p50_ms"] = round(median(run["base_total_us"]["p50"] for run in answered) / 1000, 3)
    return made


@dataclass(slots=True, kw_only=True)
class Bench:
    loads: Loads
    cores: Cores
    size: Size

    def interleaved(
        self,
        mode: str,
        targets: Sequence[Target],
        measure: Callable[[Target], Run],
        summary: Callable[[Sequence[Run]], Run] = summarise,
    ) -> dict[str, Run]:
        """Every target once a round, in another order each round."""
        runs: dict[str, list[Run]] = {target.name: [] for target in targets}
        for number in range(self.size.rounds):
            order = list(targets)
            random.shuffle(order)
            say(f"  {mode}: round {number + 1} of {self.size.rounds}")
            for target in order:
                runs[target.name].append(self._watched(target, measure))
                time.sleep(self.size.settle_s)
        return {name: summary(found) for name, found in runs.items()}

    def _watched(self, target: Target, measure: Callable[[Target], Run]) -> Run:
        if target.pid is None:
            return measure(target)
        watch = Watch(core=self.cores.gateway, pid=target.pid).begin()
        found = measure(target)
        return {**found, **watch.end()}

    def warm(self, targets: Sequence[Target]) -> list[Target]:
        """The targets that answer both kinds of request; the first answers are never measured."""
        good = []
        for target in targets:
            found = self.loads.loop(
                target.calls["instant"], stream=False, connections=8, seconds=20, limit=200
            )
            streams = self.loads.loop(
                target.calls["instant"], stream=True, connections=8, seconds=20, limit=50
            )
            if found["requests"] and streams["requests"]:
                good.append(target)
            else:
                errors = found["errors"] + streams["errors"]
                say(f"  {target.name} does not answer ({errors} errors)")
        return good

    def requests(self, targets: Sequence[Target], connections: int) -> dict[str, Run]:
        return self.interleaved(
            f"requests at {connections}",
            targets,
            lambda target: self.loads.requests(
                target.calls["instant"], connections=connections, seconds=self.size.seconds
            ),
        )

    def streams(
        self, targets: Sequence[Target], *, kind: str = "instant", connections: int = 32
    ) -> dict[str, Run]:
        return self.interleaved(
            f"{kind} streams at {connections}",
            targets,
            lambda target: self.loads.loop(
                target.calls[kind],
                stream=True,
                connections=connections,
                # A slow gateway must be able to end its first streams within a run.
                seconds=max(3.0, self.size.seconds),
            ),
        )

    def latency(
        self, targets: Sequence[Target], base: Target, *, stream: bool, kind: str = "instant"
    ) -> dict[str, Run]:
        pairs = self.size.pairs if kind == "instant" else max(40, self.size.pairs // 4)
        return self.interleaved(
            f"{'stream' if stream else 'request'} latency, {kind} upstream",
            [target for target in targets if target.name != base.name],
            lambda target: self.loads.paired(
                target.calls[kind], base.calls[kind], stream=stream, pairs=pairs
            ),
            summarise_pairs,
        )

    def recording(self, recorded: Target, unrecorded: Target) -> dict[str, Run]:
        """Throughput with and without the durable record, behind an upstream of 20 ms."""
        return self.interleaved(
            "recorded and not",
            [recorded, unrecorded],
            lambda target: self.loads.loop(
                target.calls["slow"],
                stream=False,
                connections=256,
                seconds=max(2.0, self.size.seconds),
            ),
        )

    def memory(self, target: Target) -> Run:
        """PSS of the server after 1,000 requests and after many, plain and streams in turn."""
        if target.pid is None:
            return {}
        self._send(target, 1_000)
        first = pss_mb(target.pid)
        self._send(target, self.size.many_requests - 1_000)
        last = pss_mb(target.pid)
        return {
            "after_1000_mb": first,
            "after_many_mb": last,
            "many": self.size.many_requests,
            "growth": round(last / first, 3) if first else None,
        }

    def _send(self, target: Target, count: int) -> None:
        for stream, share in ((False, 0.8), (True, 0.2)):
            self.loads.loop(
                target.calls["instant"],
                stream=stream,
                connections=32,
                seconds=180,
                limit=int(count * share),
            )
