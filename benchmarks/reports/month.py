"""A month of traffic with everything a report speaks of, sealed as the product seals it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import psycopg

from audit.actors import SYSTEM, Actor
from audit.ids import uuid7
from audit.sealing import BATCH_SQL, SealedEvent, Writer, batch_parameters

BATCH: Final = 1000
BEGIN: Final = datetime(2026, 9, 1, tzinfo=UTC)
END: Final = datetime(2026, 10, 1, tzinfo=UTC)
ROUTER: Final = SYSTEM("router")
REVIEWERS: Final = ("rui", "vera", "ada")
ACTS: Final = (
    ("backend.changed", "backend", "slm-inside"),
    ("policy.edited", "policy_version", "desk@3"),
    ("person.roles_changed", "person", "sam"),
    ("api_key.created", "api_key", "k2"),
    ("trail.exported", "log", "bench"),
    ("access.denied", "screen", "/routes/"),
)
_COMMITMENT: Final = "hmac-sha256:" + "0" * 64
_RULES: Final = [
    {"id": f"rule-{n}", "name": f"Rule {n}", "state": "no_match" if n < 5 else "matched"}
    for n in range(6)
]
_BACKENDS: Final = [
    {
        "name": name, "tier": tier, "boundary": boundary, "state": "active", "region": "eu",
        "data_classes": ["internal", "public"], "price_in": "0.04", "price_out": "0.08",
        "signoffs": {"public": 4_000_000_000} if boundary == "public" else {},
    }
    for name, tier, boundary in (
        ("slm-inside", "slm", "private"),
        ("llm-inside", "llm", "private"),
        ("llm-outside", "llm", "public"),
    )
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    decisions: int = 500_000
    acts: int = 200
    cases: int = 300
    # Of the crossings so many have no sign-off: the report has to find exactly these.
    unsigned: int = 3


def events(writer: Writer, size: Size, *, seed: int = 7) -> Iterator[SealedEvent]:
    """Everything in the order of its time, spread evenly over the month."""
    chance, span = Random(seed), END - BEGIN  # noqa: S311 - a benchmark
    every_act = max(1, size.decisions // max(1, size.acts))
    every_case = max(1, size.decisions // max(1, size.cases))
    unsigned, acts, cases = size.unsigned, 0, 0
    for n in range(size.decisions):
        at = BEGIN + span * n / size.decisions
        data_class = "public" if chance.random() < 0.4 else "internal"
        is_public = data_class == "public" and chance.random() < 0.1
        is_unsigned = is_public and unsigned > 0
        unsigned -= is_unsigned
        made = _made(writer, at, data_class, is_public, is_unsigned, n)
        yield made
        yield _ended(writer, made, at + timedelta(milliseconds=400), is_public, chance)
        if n % every_act == 0 and acts < size.acts:
            kind, thing, identity = ACTS[acts % len(ACTS)]
            yield _act(writer, at, kind, (thing, identity), acts)
            acts += 1
        if n % every_case == 0 and cases < size.cases:
            yield from _case(writer, made, at, cases)
            cases += 1


def _made(
    writer: Writer, at: datetime, data_class: str, is_public: bool, is_unsigned: bool, n: int
) -> SealedEvent:
    backend = "llm-outside" if is_public else ("llm-inside" if n % 4 == 0 else "slm-inside")
    backends = _BACKENDS if not is_unsigned else [*_BACKENDS[:2], _BACKENDS[2] | {"signoffs": {}}]
    identity = uuid7(int(at.timestamp() * 1_000_000))
    return writer.seal(
        "decision.made",
        event_id=identity,
        decision_id=identity,
        actor=Actor("api_key", "k1", "help-desk", ()),
        object=("route", "desk"),
        at=at,
        corr={"request_id": f"req_{identity.hex[-16:]}"},
        details={
            "route": "desk",
            "policy": "desk@3",
            "policy_digest": "sha256:" + "ab" * 32,
            "client": {"id": "k1", "name": f"app-{n % 7}", "owner": "desk"},
            "backends": backends,
            "input": {
                "bytes": 400 + n % 900,
                "messages": 1,
                "commitment": _COMMITMENT,
            },
            "facts": {"classifier_failed": n % 5000 == 0, "failed_signals": [], "killed": []},
            "decision": {
                "action": "route",
                "backend": backend,
                "boundary": "public" if is_public else "private",
                "data_class": data_class,
                "rule": f"rule-{n % 6}",
                "sentence": "Rule matched: prompt tokens 27 (at most 120). It goes to a backend.",
                "trace": {"rules": _RULES, "signals": {"language": "en", "personal_data": []}},
            },
        },
    )


def _ended(
    writer: Writer, made: SealedEvent, at: datetime, is_public: bool, chance: Random
) -> SealedEvent:
    backend, boundary = ("llm-outside", "public") if is_public else ("slm-inside", "private")
    total_ms = round(chance.lognormvariate(5.5, 0.6))
    attempts = [
        {"n": 1, "backend": backend, "boundary": boundary, "kind": "first", "status": 200,
         "problem": None, "total_ms": total_ms, "cost_usd": "0.0001"}
    ]  # fmt: skip
    is_fallback = chance.random() < 0.01
    if is_fallback:
        attempts[0] |= {"status": 503, "problem": "status"}
        attempts.append(
            {"n": 2, "backend": "llm-inside", "boundary": "private", "kind": "fallback",
             "status": 200, "problem": None, "total_ms": 300, "cost_usd": "0.002"}
        )  # fmt: skip
    kind = "decision.failed" if chance.random() < 0.001 else "decision.completed"
    return writer.seal(
        kind,
        decision_id=made.id,
        actor=ROUTER,
        object=("route", "desk"),
        at=at,
        result="failed" if kind == "decision.failed" else "ok",
        corr={"request_id": made.request_id},
        details={
            "route": "desk",
            "attempts": attempts,
            "backend": attempts[-1]["backend"],
            "tier": "slm",
            "boundary": attempts[-1]["boundary"],
            "cost_usd": "0.0003",
            "baseline_cost_usd": "0.0012",
            "overhead_us": 700 + total_ms % 300,
            "total_ms": total_ms,
            "first_token_ms": total_ms // 2,
            "error_code": "upstream_failed" if kind == "decision.failed" else "",
        },
    )


def _act(writer: Writer, at: datetime, kind: str, thing: tuple[str, str], n: int) -> SealedEvent:
    return writer.seal(
        kind,
        actor=Actor("person", "1", "olivia", ("operator",)),
        object=thing,
        at=at,
        result="denied" if kind == "access.denied" else "ok",
        reason=f"Work order {n}",
        details={},
    )


def _case(writer: Writer, made: SealedEvent, at: datetime, n: int) -> Iterator[SealedEvent]:
    case = ("case", str(n + 1))
    shared = {"route": "desk", "queue": "complaints", "data_class": "internal"}
    yield writer.seal(
        "review.opened", actor=ROUTER, object=case, decision_id=made.id, at=at, details=shared
    )
    if n % 10 == 0:
        yield writer.seal(
            "review.expired", actor=SYSTEM("sweeper"), object=case, decision_id=made.id,
            at=at + timedelta(seconds=25), details=shared | {"disposition": "safe_default"},
        )  # fmt: skip
        return
    name = REVIEWERS[n % 3]
    # One of the three only ever says yes, within seconds: the report has to notice.
    verdict = "approve" if name == "rui" or n % 4 else "edit"
    yield writer.seal(
        "review.decided", actor=Actor("person", name, name, ("reviewer",)), object=case,
        decision_id=made.id, at=at + timedelta(seconds=20),
        details=shared | {"verdict": verdict, "open_ms": 1_500 if name == "rui" else 14_000},
    )  # fmt: skip


def store(
    conn: psycopg.Connection[Any], size: Size, *, origin: str, tell: Callable[[int], None]
) -> int:
    """Write the month as the application role; returns how many events it has."""
    writer, waiting, done = Writer(origin, name="gateway"), [], 0
    for event in events(writer, size):
        waiting.append(event)
        if len(waiting) == BATCH:
            conn.execute(BATCH_SQL, batch_parameters(waiting))
            done, waiting = done + BATCH, []
            tell(done)
    if waiting:
        conn.execute(BATCH_SQL, batch_parameters(waiting))
    return done + len(waiting)
