"""Where our microseconds go: the ASGI application in this process, with a fake send and receive.

Recorder, PostgreSQL and upstream are real; only the HTTP server is left out. Stages are timed by
small wrappers, whose lower deciles other processes hardly disturb; cProfile names the lines.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import importlib
import inspect
import io
import os
import pstats
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter_ns, process_time
from typing import Any

from benchmarks.overhead import machine, ours
from benchmarks.overhead.machine import Cores
from benchmarks.overhead.requests import Call
from benchmarks.overhead.upstream import Upstream

# Synchronous steps of one request, where they are looked up. A name that is gone is left out.
STEPS = (
    "routing.gateway.keys:authenticate",
    "routing.gateway.surfaces.chat:chat_request",
    "routing.gateway.serving:plan",
    "routing.gateway.planning:signals.read_request",
    "routing.gateway.planning:signals.measure",
    "routing.engine.signals:words_of",
    "routing.engine.signals:topic_of",
    "routing.engine.signals:language_of",
    "routing.engine.signals:personal_tags",
    "routing.engine.signals:has_code",
    "routing.engine.signals:token_estimate",
    "routing.engine.registry:Registry.admit",
    "routing.gateway.scoring:Scoring.score",
    "routing.engine.classifier:features_of",
    "routing.engine.classifier:Scored.top_contributions",
    "routing.gateway.planning:decide",
    "routing.gateway.replica:Replica.backend_facts",
    "routing.gateway.records:Scribe.request_payload",
    "routing.gateway.records:Scribe.answer_payload",
    "routing.gateway.records:Scribe.made",
    "routing.gateway.records:Scribe.ended",
    "routing.engine.types:Decision.as_json",
    "audit.sealing:canonical",
    "routing.gateway.recorder:Recorder.put",
    "audit.sealing:batch_parameters",
    "routing.gateway.carry:Carrier.body_for",
    "routing.gateway.asking:check_answer",
    "routing.gateway.asking:usage_of",
    "routing.gateway.sse:ChatStream.feed",
    "routing.gateway.ends:set_outcome",
    "routing.gateway.serving:decision_headers",
    "routing.gateway.metrics:Metrics.served",
    "routing.gateway.exchange:Exchange._all_headers",
    "routing.gateway.exchange:Exchange.__init__",
)


def _place(name: str) -> tuple[Any, str] | None:
    module, _, path = name.partition(":")
    try:
        owner: Any = importlib.import_module(module)
        *parents, last = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        getattr(owner, last)
    except (ImportError, AttributeError):
        return None
    return owner, last


def _timed(function: Callable[..., Any], times: list[int]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        begin = perf_counter_ns()
        try:
            return function(*args, **named)
        finally:
            times.append(perf_counter_ns() - begin)

    return call


@contextmanager
def stopwatches() -> Iterator[dict[str, list[int]]]:
    """Wraps every step, and takes the wrappers away again."""
    times: dict[str, list[int]] = defaultdict(list)
    before = []
    for name in STEPS:
        place = _place(name)
        if place is None or isinstance(inspect.getattr_static(*place), property):
            continue
        owner, last = place
        before.append((owner, last, getattr(owner, last)))
        setattr(owner, last, _timed(getattr(owner, last), times[name]))
    try:
        yield times
    finally:
        for owner, last, function in before:
            setattr(owner, last, function)


async def ask(application: Any, call: Call, *, stream: bool) -> int:
    """One request through the ASGI application; returns its status."""
    body = call.body(stream=stream)
    headers = [(k.encode(), v.encode()) for k, v in call.all_headers(body).items()]
    scope = {"type": "http", "method": "POST", "path": call.path, "headers": headers}
    status, sent = 0, False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await asyncio.sleep(3600)
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    await application(scope, receive, send)
    return status


async def _many(application: Any, call: Call, *, stream: bool, count: int, together: int) -> float:
    """Processor microseconds of this process for one request, at ``together`` at once."""
    left = count

    async def one() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            status = await ask(application, call, stream=stream)
            if status != 200:
                raise RuntimeError(f"The product answered {status}.")

    before = process_time()
    await asyncio.gather(*(one() for _ in range(together)))
    return (process_time() - before) / count * 1e6


@contextmanager
def collections(spent: list[int]) -> Iterator[None]:
    """Notes how long the garbage collector runs."""
    begin = 0

    def note(phase: str, _: Any) -> None:
        nonlocal begin
        if phase == "start":
            begin = perf_counter_ns()
        else:
            spent.append(perf_counter_ns() - begin)

    gc.callbacks.append(note)
    try:
        yield
    finally:
        gc.callbacks.remove(note)


def _room(file: str, name: str) -> str:
    """The package, or for our own code the module, that a function belongs to."""
    root = str(ours.ROOT) + os.sep
    if "site-packages" in file:
        return file.partition("site-packages/")[2].split("/")[0]
    if file.startswith(root):
        return file.removeprefix(root).removesuffix(".py").replace("/", ".")
    if "/asyncio/" in file:
        return "asyncio"
    if file == "~":
        return "built-in " + name
    return Path(file).stem


def _rooms(profile: cProfile.Profile, count: int, top: int = 28) -> list[str]:
    """Own time by room; built-in functions count for whoever called them."""
    spent: dict[str, float] = defaultdict(float)
    stats = pstats.Stats(profile)
    for (file, _, name), (_, _, own, _, callers) in stats.stats.items():  # type: ignore[attr-defined]
        if file != "~" or not callers:
            spent[_room(file, name)] += own
            continue
        for (caller_file, _, caller), (_, _, part, _) in callers.items():
            spent[_room(caller_file, caller)] += part
    whole = sum(spent.values()) or 1.0
    ranked = sorted(spent.items(), key=lambda item: -item[1])
    return [f"{t / whole:7.1%} {t / count * 1e6:9.1f}  {room}" for room, t in ranked[:top]]


def _decile(times: list[int], share: float) -> float:
    return sorted(times)[int((len(times) - 1) * share)] / 1000


def _lines(profile: cProfile.Profile, count: int, order: str, top: int) -> list[str]:
    text = io.StringIO()
    stats = pstats.Stats(profile, stream=text)
    rows = []
    for (file, line, name), (_, calls, own, total, _) in stats.stats.items():  # type: ignore[attr-defined]
        rows.append((total if order == "total" else own, own, total, calls, file, line, name))
    rows.sort(reverse=True)
    root = str(ours.ROOT) + os.sep
    lines = []
    for _, own, total, calls, file, line, name in rows:
        where = file.removeprefix(root)
        if "site-packages" in where:
            where = where.partition("site-packages/")[2]
        if order == "total" and os.sep in where and where.startswith(os.sep):
            continue
        lines.append(
            f"{own / count * 1e6:9.1f} {total / count * 1e6:9.1f} {calls / count:8.1f}  "
            f"{Path(where).as_posix()}:{line} {name}"
        )
    return lines[:top]


async def _profiled(
    application: Any, call: Call, *, stream: bool, count: int, together: int
) -> Any:
    profile = cProfile.Profile()
    profile.enable()
    await _many(application, call, stream=stream, count=count, together=together)
    profile.disable()
    return profile


async def _idle_ms() -> float:
    """Processor milliseconds that the process takes in a second without a request."""
    before = process_time()
    await asyncio.sleep(4)
    return (process_time() - before) / 4 * 1000


async def _one_kind(gateway: Any, application: Any, call: Call, count: int, stream: bool) -> str:
    await _many(application, call, stream=stream, count=300, together=8)
    alone = await _many(application, call, stream=stream, count=count // 4, together=1)
    batches, written = gateway.recorder.batches, gateway.recorder.written
    spent: list[int] = []
    with collections(spent):
        busy = await _many(application, call, stream=stream, count=count, together=32)
    batches = gateway.recorder.batches - batches
    written = gateway.recorder.written - written
    with stopwatches() as times:
        await _many(application, call, stream=stream, count=count // 2, together=32)
    crowd = await _profiled(application, call, stream=stream, count=count // 4, together=32)
    single = await _profiled(application, call, stream=stream, count=count // 8, together=1)
    lines = [
        f"{'STREAM' if stream else 'REQUEST'}: {busy:.0f} us of processor time at 32 at once, "
        f"{alone:.0f} us one by one (HTTP server not included)",
        f"{written / max(1, batches):.1f} events a commit; garbage collection "
        f"{sum(spent) / count / 1000:.1f} us a request in {len(spent)} runs",
        "",
        "lower decile  median us   calls  step (calls per request; steps contain one another)",
        *(
            f"{_decile(t, 0.1):12.1f} {_decile(t, 0.5):10.1f} {len(t) / (count // 2):7.2f}  {name}"
            for name, t in times.items()
            if t
        ),
    ]
    for title, profile, n in (
        ("32 at once", crowd, count // 4),
        ("one by one", single, count // 8),
    ):
        lines += ["", f"By room, {title}, with the profiler's own cost (share, us per request):"]
        lines += _rooms(profile, n)
        lines += ["", f"By line, {title} (us own, us total, calls per request):"]
        lines += _lines(profile, n, "own", 40)
        lines += ["", f"Ours by total time, {title}:", *_lines(profile, n, "total", 40)]
    return "\n".join(lines)


async def _measure(calls: dict[str, Call], count: int) -> str:
    from config.asgi import application, gateway

    await gateway.start()
    try:
        idle = await _idle_ms()
        parts = [f"IDLE: {idle:.1f} ms of processor time a second"]
        for stream in (False, True):
            parts.append(await _one_kind(gateway, application, calls["instant"], count, stream))
        return "\n\n\n".join(parts) + "\n"
    finally:
        await gateway.stop()


def report(count: int) -> str:
    """Start PostgreSQL and the upstream, run the application here, and say what cost how much."""
    import uvloop

    cores = Cores.choose()
    with tempfile.TemporaryDirectory(prefix="signalbox-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        upstream = Upstream(folder=folder, cores=cores)
        upstream.start()
        try:
            with ours.product(
                folder=folder, upstream_ports=upstream.ports, cores=cores, with_sequencer=False
            ) as product:
                os.environ.update(product.site.env)
                headers = {"authorization": f"Bearer {product.api_key}"}
                calls = {
                    kind: Call(port=1, path="/v1/chat/completions", model=route, headers=headers)
                    for kind, route in product.calls_of.items()
                }
                with (
                    machine.on([cores.gateway]),
                    asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
                ):
                    return runner.run(_measure(calls, count))
        finally:
            upstream.stop()
