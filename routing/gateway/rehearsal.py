"""Proves a compiled snapshot before it serves: its digest, its parts, and one decision a route.

The decision is thrown away. It warms what the first request would otherwise wait for, and a policy
that cannot decide at all is found here, where the previous snapshot still serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routing.engine import classifier, signals
from routing.engine.decide import decide
from routing.engine.types import Facts
from routing.gateway.snapshot import LiveRoute, Snapshot, compile_snapshot
from routing.services.snapshots import digest_of

_SAMPLE = {"messages": [{"role": "user", "content": "Where is my parcel?"}]}


class NotValid(Exception):
    """The document must not serve; the message says which part is wrong."""


def prepare(document: Mapping[str, Any]) -> Snapshot:
    """Compile a document and rehearse it. Raises NotValid, and nothing else."""
    try:
        if digest_of(dict(document)) != document["digest"]:
            raise NotValid("its content does not have its digest")
        snapshot = compile_snapshot(document)
    except NotValid:
        raise
    except Exception as problem:
        raise NotValid(f"it does not compile: {_told(problem)}") from problem
    for route in snapshot.routes.values():
        try:
            _rehearse(snapshot, route)
            if route.rollout is not None:
                _rehearse(snapshot, route.rollout.route)
        except Exception as problem:
            raise NotValid(f"the route {route.slug} cannot decide: {_told(problem)}") from problem
    return snapshot


def _rehearse(snapshot: Snapshot, route: LiveRoute) -> None:
    if route.policy is None:
        return
    text = signals.read_request(_SAMPLE)
    measured = signals.measure(
        text, step="", client="", hour=0, metadata={}, registry=route.policy.registry
    )
    measured["data_class"] = route.data_class
    scored = classifier.score(route.scorer, text, measured) if route.scorer else None
    if scored is not None:
        measured.update(scored.as_signals())
    facts = Facts(
        signals=measured,
        data_class=route.data_class,
        now_s=0,
        baseline=route.baseline,
        killed=snapshot.killed_for(route.slug),
        classifier_failed=route.scorer is None,
    )
    decide(route.policy, facts, {name: b.facts for name, b in snapshot.backends.items()})


def _told(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"[:300]
