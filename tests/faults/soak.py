"""A seeded random mix of faults under load, and afterwards the books compared: ``./soak MINUTES``.

The clients keep a ledger of their own, written through to disk line by line. At the end it is laid
beside the audit trail: I1 every byte that a client saw has exactly one decision; I2 every decision
has exactly one end; I3 nothing went to a public backend unrecorded or while public traffic was
stopped; I6 no word of a prompt is in the trail or in a log.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.faults.books import Clients, Ledger, Witness
from tests.faults.memory import Memory
from tests.faults.plant import GatewayProcess, Plant, eventually
from tests.faults.proxy import (
    Fault,
    Line,
    cut,
    drip,
    endless,
    honest,
    instead,
    late,
    rewrite,
    silence,
    status,
)
from tests.faults.proxy import refuse as reset
from tests.faults.world import LIMITS, policy

SWITCH_S = 5.0
DEADLINE_S = LIMITS["deadline_ms"] / 1000
MOST_GROWTH_KB = 40_000


UPSTREAM: dict[str, Fault] = {
    "late": late(0.5),
    "slow loris": drip(0.5, after=200),
    "silence": silence,
    "reset": reset,
    "cut by reset": cut(420, how="reset"),
    "cut by close": cut(420, how="close"),
    "half-open": cut(420, how="hang"),
    "429": status(429, retry_after="1"),
    "500": status(500),
    "503": status(503),
    "redirect": status(307, more="location: http://169.254.169.254/\r\n"),
    "garbage": instead(b"\x00garbage\r\n\r\n"),
    "no finish": rewrite(lambda whole: whole.replace(b'"finish_reason": "stop"', b'"x": 1')),
    "wrong length": rewrite(lambda whole: whole.replace(b"content-length: ", b"content-length: 9")),
    "error in stream": instead(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        b'data: {"error":{"message":"busy"}}\n\n'
    ),
    "without end": endless(b"x" * 65536, limit=1 << 26),
}


class Soak:
    def __init__(self, folder: Path, *, seconds: float, seed: int) -> None:
        self.seconds = seconds
        self.seed = seed
        self.chance = random.Random(seed)
        self.plant = Plant(folder / "var")
        self.ledger = Ledger(folder / "ledger.txt")
        self.counts: Counter[str] = Counter()
        self.stopped: list[tuple[float, float]] = []
        self.problems: list[str] = []
        self.canary = f"canary{seed}x"
        self.clients: Clients | None = None
        self.memory = Memory()

    def run(self) -> int:
        try:
            self.plant.start()
            self._start()
            self._break_things()
            self._heal()
            return self._compare()
        finally:
            if self.clients:
                self.clients.is_over = True
            self.plant.stop()

    def _start(self) -> None:
        plant = self.plant
        self.lines: list[Line] = [plant.line(), plant.line()]
        self.steady = plant.gateway("steady")
        self.victims = [
            plant.gateway(name, line=line)
            for name, line in zip(("one", "two"), self.lines, strict=True)
        ]
        self.witness = Witness(plant)
        self.clients = Clients(
            targets=[self.steady, *self.victims],
            ledger=self.ledger,
            seed=self.seed,
            canary=self.canary,
        )
        self.clients.begin()
        time.sleep(min(10.0, self.seconds * 0.2))
        self.memory.watch(self.steady)

    def _break_things(self) -> None:
        acts: list[tuple[int, Callable[[], None]]] = [
            (2, self._kill_gateway),
            (1, self._stop_gateway),
            (1, self._kill_postgres),
            (1, self._restart_postgres),
            (1, self._freeze_postgres),
            (3, self._cut_line),
            (3, self._hold_line),
            (1, self._kill_sequencer),
            (2, self._stop_public),
            (1, self._activate),
        ]
        # Each once, in an order of the seed's; then by weight until the time is over.
        first = [act for _, act in acts]
        self.chance.shuffle(first)
        ends = time.monotonic() + self.seconds
        # What backends do wrong goes on all the time, beside what happens to the processes.
        spoiling = threading.Thread(target=self._spoil_upstream, args=(ends,))
        spoiling.start()
        while time.monotonic() < ends:
            act = (
                first.pop()
                if first
                else self.chance.choices([a for _, a in acts], [weight for weight, _ in acts])[0]
            )
            act()
            time.sleep(self.chance.uniform(0.2, 1.2))
        spoiling.join()

    def _spoil_upstream(self, ends: float) -> None:
        chance = random.Random(f"{self.seed}-upstream")
        while time.monotonic() < ends:
            name = chance.choice(list(UPSTREAM))
            backend = chance.choice(["near", "cloud"])
            self.counts[f"upstream: {name}"] += 1
            self.plant.proxies[backend].faults = [UPSTREAM[name]]
            time.sleep(chance.uniform(0.3, 1.5))
            self.plant.proxies[backend].faults = [honest]
            time.sleep(chance.uniform(0.2, 2.0))

    def _again(self, gateway: GatewayProcess) -> None:
        gateway.ended(30)
        self.plant.family.start(gateway.child)

    def _kill_gateway(self) -> None:
        victim = self.chance.choice(self.victims)
        self.counts["gateway killed"] += 1
        victim.kill()
        self._again(victim)

    def _stop_gateway(self) -> None:
        victim = self.chance.choice(self.victims)
        self.counts["gateway stopped"] += 1
        victim.kill(signal.SIGTERM)
        self._again(victim)

    def _kill_postgres(self) -> None:
        self.counts["PostgreSQL killed"] += 1
        self.plant.kill_postgres()
        self.plant.start_postgres()

    def _restart_postgres(self) -> None:
        self.counts["PostgreSQL restarted"] += 1
        self.plant.stop_postgres()
        time.sleep(self.chance.uniform(0, 1))
        self.plant.start_postgres()

    def _freeze_postgres(self) -> None:
        self.counts["PostgreSQL frozen"] += 1
        self.plant.freeze_postgres(frozen=True)
        time.sleep(self.chance.uniform(0.5, 4))
        self.plant.freeze_postgres(frozen=False)

    def _cut_line(self) -> None:
        self.counts["database line cut"] += 1
        self.plant.background.soon(self.chance.choice(self.lines).cut)

    def _hold_line(self) -> None:
        way = self.chance.choice(["up", "down"])
        self.counts[f"database line held {way}"] += 1
        line = self.chance.choice(self.lines)
        self.plant.background.soon(line.hold, way)
        time.sleep(self.chance.uniform(0.2, 3))
        if self.chance.random() < 0.5:
            self.plant.background.soon(line.cut)
        self.plant.background.soon(line.release)

    def _kill_sequencer(self) -> None:
        self.counts["sequencer killed"] += 1
        process = self.plant.sequencer.process
        assert process is not None
        process.kill()
        process.wait(10)
        self.plant.family.start(self.plant.sequencer)

    def _stop_public(self) -> None:
        self.counts["public traffic stopped"] += 1
        self.plant.world("stop_public", True)
        began = time.time()
        time.sleep(SWITCH_S + 1)
        self.stopped.append((began + SWITCH_S, time.time()))
        self.plant.world("stop_public", False)

    def _activate(self) -> None:
        self.counts["policy activated"] += 1
        deadline = 6000 - sum(self.counts.values())
        document = policy(
            "near", target="near", then="spare", limits={**LIMITS, "deadline_ms": deadline}
        )
        self.plant.world("activate", {"slug": "near", "document": document})

    def _heal(self) -> None:
        """Everything well again, the load over, every queue written, every decision ended."""
        for gateway in (self.steady, *self.victims):
            eventually(gateway.ready, 40, f"{gateway.name} ready")
        time.sleep(2)
        assert self.clients is not None
        self.clients.end()
        self.memory.end()
        for gateway in (self.steady, *self.victims):
            eventually(
                lambda g=gateway: g.gauge("record_queue") == 0, 30, f"{gateway.name} written"
            )
        self.witness.is_over = True
        self.witness.end()

    def _open_decisions(self) -> int:
        [(number,)] = self.plant.rows(
            "SELECT count(*) FROM audit.event m WHERE kind = 'decision.made' AND NOT EXISTS "
            "(SELECT FROM audit.event e WHERE e.decision_id = m.decision_id "
            "AND e.kind <> 'decision.made')"
        )
        return int(number)

    def _compare(self) -> int:
        def all_ended() -> bool:
            self.plant.world("reap", 60)
            return self._open_decisions() == 0

        with suppress(TimeoutError):
            eventually(all_ended, 60, "an end for every decision")
        rows = self.ledger.read()
        lost, unrecorded = self._against_ledger(rows)
        duplicated, late_ends = self._against_itself()
        leaks = self._leaks()
        checked = self._checked()
        growth = self.memory.growth
        during = [
            v.request_id
            for v in self.plant.backends["cloud"].visits
            if any(a <= v.at <= b for a, b in self.stopped)
        ]
        results: list[tuple[str, Any, bool]] = [
            ("lost: answered whole, without decision and end (I1, I2)", len(lost), not lost),
            ("unrecorded: a byte was seen, no decision (I1)", len(unrecorded), not unrecorded),
            ("duplicated: two decisions or two ends (I1, I2)", len(duplicated), not duplicated),
            ("decisions without an end (I2)", open_ := self._open_decisions(), open_ == 0),
            ("ends later than deadline and grace (I2)", late_ends, late_ends == 0),
            (
                "sent to the public backend unrecorded (I3)",
                len(self.witness.unrecorded),
                not self.witness.unrecorded,
            ),
            ("sent to it while public traffic was stopped (I3)", len(during), not during),
            ("prompt text in trail or logs (I6)", len(leaks), not leaks),
            ("audit_fsck", "ok" if checked else "FAILED", checked),
            ("memory growth of the steady gateway, kB PSS", growth, growth < MOST_GROWTH_KB),
        ]
        self._print(rows, results)
        return 0 if all(good for _, _, good in results) else 1

    def _against_ledger(
        self, rows: list[tuple[str, str, int, bool]]
    ) -> tuple[list[str], list[str]]:
        found: dict[str, list[str]] = dict(
            self.plant.rows(
                "SELECT request_id, array_agg(kind) FROM audit.event "
                "WHERE request_id LIKE 'soak-%%' GROUP BY request_id"
            )
        )
        lost = [
            name
            for name, _, code, whole in rows
            if code == 200
            and whole
            and not (
                "decision.made" in found.get(name, ())
                and {"decision.completed", "decision.safe_default"} & set(found.get(name, ()))
            )
        ]
        unrecorded = [
            name
            for name, _, code, _ in rows
            if code == 200 and "decision.made" not in found.get(name, ())
        ]
        return lost, unrecorded

    def _against_itself(self) -> tuple[list[str], int]:
        doubled = self.plant.rows(
            "SELECT request_id FROM audit.event WHERE request_id LIKE 'soak-%%' "
            "GROUP BY request_id HAVING count(*) FILTER (WHERE kind = 'decision.made') > 1 "
            "OR count(*) FILTER (WHERE kind <> 'decision.made') > 1"
        )
        [(late_ends,)] = self.plant.rows(
            "SELECT count(*) FROM audit.event m JOIN audit.event e USING (decision_id) "
            "WHERE m.kind = 'decision.made' AND e.kind NOT IN "
            "('decision.made', 'decision.outcome_unknown') "
            "AND e.at - m.at > make_interval(secs => %s)",
            DEADLINE_S + 4,
        )
        return [name for (name,) in doubled], int(late_ends)

    def _leaks(self) -> list[str]:
        found = [
            name
            for (name,) in self.plant.rows(
                "SELECT id::text FROM audit.event WHERE position(%s::bytea in body) > 0",
                self.canary.encode(),
            )
        ]
        for log in self.plant.places.logs.iterdir():
            if self.canary in log.read_text(errors="replace"):
                found.append(log.name)
        return found

    def _checked(self) -> bool:
        with suppress(TimeoutError):
            return bool(eventually(lambda: self.plant.fsck().returncode == 0, 60, "fsck"))
        sys.stdout.write(self.plant.fsck().stdout)
        return False

    def _print(self, rows: list[Any], results: list[tuple[str, Any, bool]]) -> None:
        codes = Counter(code for _, _, code, _ in rows)
        say = sys.stdout.write
        say(f"\nsoak: {self.seconds:.0f} s of faults, seed {self.seed}\n")
        say(f"  requests {len(rows)}: ")
        say(", ".join(f"{code or 'no answer'} {n}" for code, n in sorted(codes.items())) + "\n")
        say(f"  visits at the public backend, each looked up: {self.witness.looked}\n")
        say("  faults: " + ", ".join(f"{n} {c}" for n, c in sorted(self.counts.items())) + "\n")
        tenths = ", ".join(f"{kb / 1024:.0f}" for kb in self.memory.by_tenths())
        say(f"  memory of the steady gateway, most in each tenth, MB PSS: {tenths}\n\n")
        for words, value, good in results:
            say(f"  {'ok    ' if good else 'FAILED'} {value!s:>8}  {words}\n")
        sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="./soak", description=__doc__)
    parser.add_argument("minutes", type=float, help="how long faults are made")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--keep", action="store_true", help="leave logs and ledger where they are")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="signalbox-soak-"))
    folder.chmod(0o711)
    try:
        return Soak(folder, seconds=chosen.minutes * 60, seed=chosen.seed).run()
    finally:
        if chosen.keep:
            sys.stdout.write(f"  kept in {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
