"""Measures the pure engine in this process: measuring and deciding, and deciding alone."""

from __future__ import annotations

from decimal import Decimal
from time import perf_counter_ns
from typing import Any

from benchmarks.overhead.requests import PROMPT, SYSTEM
from benchmarks.overhead.seed import plain, policy
from routing.engine import classifier, signals
from routing.engine.canonical import digest
from routing.engine.decide import CompiledPolicy, compile_policy, decide
from routing.engine.document import parse_policy
from routing.engine.first_weights import FIRST_CLASSIFIER
from routing.engine.types import BackendFacts, Facts

# Words that stand in for no user's: only their number and spread matter here.
_MORE = (
    "The booking page also shows a warning about the calendar of branch number {n}, which was "
    "moved to another region last week, and the colleagues there report that reminders arrive "
    "{n} hours late. Could you check whether the export number {n} is complete? "
)


def body_of_500_tokens(number: int = 0) -> dict[str, Any]:
    """A request of about 500 tokens, another text for every ``number``: nothing may be cached."""
    text = PROMPT + " " + "".join(_MORE.format(n=number * 7 + i) for i in range(6))
    return {
        "model": "overhead-instant",
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": text},
        ],
    }


def compiled() -> CompiledPolicy:
    document = plain(policy("overhead-instant", "fake-instant"))
    return compile_policy(parse_policy(document), number=1, digest=digest(document))


def backends() -> dict[str, BackendFacts]:
    return {
        f"fake-{kind}": BackendFacts(
            name=f"fake-{kind}",
            tier="llm",
            boundary="private",
            state="active",
            healthy=True,
            cooling=False,
            context_window=32768,
            capabilities=frozenset({"stream", "json", "tools", "images"}),
            data_classes=frozenset({"public", "internal", "confidential", "restricted"}),
            signoffs={},
            price_in=Decimal("2.50"),
            price_out=Decimal("10"),
            over_budget=False,
            key_allowed=True,
        )
        for kind in ("instant", "slow", "paced")
    }


def measured_facts(body: dict[str, Any]) -> Facts:
    """Signals and score as the live API takes them, as facts."""
    text = signals.read_request(body)
    found = signals.measure(text, client="benchmark", hour=12)
    found["data_class"] = "internal"
    scored = classifier.score(FIRST_CLASSIFIER, text, found)
    if scored is not None:
        found.update(scored.as_signals())
        scored.top_contributions()
    return Facts(
        signals=found,
        data_class="internal",
        now_s=1_800_000_000,
        needs=frozenset(),
        output_tokens=200,
        pin=None,
        boundary_ceiling="public",
        sticky_tier=None,
        in_rollout=True,
        baseline="fake-instant",
        killed=frozenset(),
        classifier_failed=False,
    )


def _percentiles(times_ns: list[int], unit_ns: int) -> dict[str, float]:
    times_ns.sort()
    return {
        f"p{p}": round(times_ns[round((len(times_ns) - 1) * p / 100)] / unit_ns, 3)
        for p in (50, 99)
    }


def measure(count: int) -> dict[str, Any]:
    """p50 and p99 over ``count`` different prompts, after a warm-up."""
    rules, known = compiled(), backends()
    bodies = [body_of_500_tokens(number) for number in range(count)]
    for body in bodies[: count // 10 + 1]:
        decide(rules, measured_facts(body), known)
    both: list[int] = []
    alone: list[int] = []
    for body in bodies:
        begin = perf_counter_ns()
        facts = measured_facts(body)
        middle = perf_counter_ns()
        decision = decide(rules, facts, known)
        end = perf_counter_ns()
        both.append(end - begin)
        alone.append(end - middle)
    if decision.rule != "everything":
        raise RuntimeError(f"The benchmark's policy decided by {decision.rule}.")
    return {
        "prompts": count,
        "prompt_tokens": int(str(facts.signals["prompt_tokens"])),
        "rules": len(rules.rules),
        "classify_and_decide_ms": _percentiles(both, 1_000_000),
        "policy_us": _percentiles(alone, 1_000),
    }
