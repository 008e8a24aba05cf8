"""./benchmarks/overhead/run: measures the live API and its peers side by side, in one run."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.overhead import engine, machine, ours, peers, report
from benchmarks.overhead.loads import Loads
from benchmarks.overhead.machine import Cores
from benchmarks.overhead.modes import FULL, QUICK, Bench, Size
from benchmarks.overhead.peers import Target
from benchmarks.overhead.programs import HERE, Missing, say
from benchmarks.overhead.upstream import Upstream

MODES = ("engine", "requests", "streams", "latency", "recording", "paced", "memory")


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/overhead/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs: no result")
    parser.add_argument("--rounds", type=int, help="rounds per mode (3)")
    parser.add_argument("--seconds", type=float, help="seconds per run (3; quick 1)")
    parser.add_argument("--requests", type=int, help="requests of the memory mode (100000)")
    parser.add_argument("--only", nargs="+", choices=MODES, default=MODES, help="these modes only")
    parser.add_argument(
        "--peers", nargs="*", choices=list(peers.PEERS), default=list(peers.PEERS), help="all three"
    )
    parser.add_argument("--no-sequencer", action="store_true", help="the ledger is not sequenced")
    parser.add_argument("--write-docs", action="store_true", help="write into docs/performance.md")
    parser.add_argument("--occasion", default="", help="one sentence about this run for the page")
    parser.add_argument("--profile", action="store_true", help="show where our microseconds go")
    return parser.parse_args(words)


def size_of(chosen: argparse.Namespace) -> Size:
    size = QUICK if chosen.quick else FULL
    return Size(
        rounds=chosen.rounds or size.rounds,
        seconds=chosen.seconds or size.seconds,
        pairs=size.pairs,
        many_requests=chosen.requests or size.many_requests,
    )


def _revision() -> str:
    words = ["git", "describe", "--always", "--dirty=+"]
    done = subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="signalbox-bench-"))
    # PostgreSQL and nginx run as users who must be able to pass through.
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_peers(
    wanted: Sequence[str], ports: dict[str, int], folder: Path, cores: Cores
) -> tuple[list[Target], dict[str, str]]:
    started, missing = [], {}
    for name in wanted:
        try:
            started.append(peers.PEERS[name](ports, folder=folder, cores=cores))
        except Missing as problem:
            say(f"{name} is missing from this run: {problem}")
            missing[name] = str(problem)
    return started, missing


def _figures(
    bench: Bench, product: ours.Product, others: list[Target], chosen: argparse.Namespace
) -> tuple[dict[str, Any], list[Target]]:
    """All modes in turn. The unrecorded twin is started for its own mode only."""
    mine = product.serve()
    direct = others[0]
    targets = bench.warm([*others, mine])
    if mine not in targets:
        raise Missing(f"the product does not answer:\n{product.log_tail()}")
    gateways = [target for target in targets if target.name != "direct"]
    figures: dict[str, Any] = {}
    if "requests" in chosen.only:
        figures["requests_1"] = bench.requests(targets, 1)
        figures["requests_32"] = bench.requests(targets, 32)
    if "streams" in chosen.only:
        figures["streams_32"] = bench.streams(targets)
    if "latency" in chosen.only:
        figures["latency"] = bench.latency(gateways, direct, stream=False)
        figures["latency_stream"] = bench.latency(gateways, direct, stream=True)
        figures["latency_slow"] = bench.latency(gateways, direct, stream=False, kind="slow")
    if "paced" in chosen.only:
        figures["paced"] = bench.streams(gateways, kind="paced", connections=128)
    if "recording" in chosen.only:
        twin = product.serve(name="unrecorded", application=ours.UNRECORDED)
        figures["recording"] = bench.recording(mine, twin)
        twin.stop()
    if "memory" in chosen.only:
        mine.stop()
        mine = product.serve()
        figures["memory"] = bench.memory(mine)
    return figures, [*targets, mine]


def _clean_share(figures: dict[str, Any]) -> float:
    counted = [
        (one["clean"], one["runs"])
        for mode in figures.values()
        for one in mode.values()
        if isinstance(one, dict) and "clean" in one
    ]
    return sum(c for c, _ in counted) / max(1, sum(n for _, n in counted))


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    cores, size = Cores.choose(), size_of(chosen)
    facts = machine.facts(cores)
    figures: dict[str, Any] = {}
    if "engine" in chosen.only:
        with machine.on([cores.gateway]):
            figures["engine"] = engine.measure(500 if chosen.quick else 3000)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_folder())
        loads = Loads.find(folder=folder, cores=cores)
        upstream = Upstream(folder=folder, cores=cores)
        stack.callback(upstream.stop)
        upstream.start()
        product = stack.enter_context(
            ours.product(
                folder=folder,
                upstream_ports=upstream.ports,
                cores=cores,
                with_sequencer=not chosen.no_sequencer,
            )
        )
        started, missing = _start_peers(chosen.peers, upstream.ports, folder, cores)
        for target in started:
            stack.callback(target.stop)
        bench = Bench(loads=loads, cores=cores, size=size)
        found, targets = _figures(bench, product, [peers.direct(upstream.ports), *started], chosen)
        figures |= found
        ledger, beside = product.ledger(), product.beside_us()
    answered = {target.name for target in targets}
    missing |= {t.name: "started but did not answer" for t in started if t.name not in answered}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "revision": _revision(),
        "occasion": chosen.occasion,
        "machine": facts,
        "size": asdict(size),
        "load": loads.names,
        "upstream": f"{upstream.written_in}, on the other core",
        "sequencer": not chosen.no_sequencer,
        "command": targets[-1].command,
        "ledger": ledger,
        "beside_us_per_event": beside,
        "missing": missing,
        "notes": {target.title: target.note for target in started if target.note},
        "clean_share": round(_clean_share(figures), 3),
        "figures": figures,
    }


def main() -> int:
    chosen = parse(sys.argv[1:])
    # So that a stop from outside still ends every server that we started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if chosen.profile:
            from benchmarks.overhead import stages

            sys.stdout.write(stages.report(2_000 if chosen.quick else 10_000))
            return 0
        result = measure(chosen)
    except Missing as problem:
        say(f"The benchmark cannot run here: {problem}")
        return 1
    sys.stdout.write("\n" + report.show(result))
    say(f"Written to {report.write(result).relative_to(HERE.parents[1])}")
    if chosen.write_docs:
        report.write_docs(result)
        say("docs/performance.md has the new figures.")
    return 0


if __name__ == "__main__":
    if os.name != "posix" or not hasattr(os, "sched_setaffinity"):
        say("This benchmark pins processes to cores and needs Linux.")
        sys.exit(1)
    sys.exit(main())
