"""One decision: rules in order, the first match wins, with the reason for every backend.

The same facts under the same version give the same decision, on any replica and next year. Live
traffic, shadow, replay, simulation and evaluation all call this and differ only in who calls.
"""

from __future__ import annotations

from collections.abc import Mapping

from routing.engine.compiled import CompiledPolicy, compile_policy
from routing.engine.eligibility import may_send
from routing.engine.hops import fallback, judge_answer
from routing.engine.run import Run
from routing.engine.types import BackendFacts, Decision, Facts

__all__ = [
    "CompiledPolicy",
    "compile_policy",
    "decide",
    "fallback",
    "judge_answer",
    "may_send",
]


def decide(policy: CompiledPolicy, facts: Facts, backends: Mapping[str, BackendFacts]) -> Decision:
    """The decision on one request, with its trace. Total: no facts make it raise."""
    run = Run(policy, facts, backends)
    if policy.route in facts.killed:
        return run.stopped()
    return run.resolve(run.match(0))
