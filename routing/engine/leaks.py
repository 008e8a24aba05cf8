"""Follows a witness to the backend where its data would leave, hop by hop, by the live functions.

`decide()`, `fallback()` and `judge_answer()` never widen a boundary and have no switch for it. A
leak is therefore shown by other facts, never by other rules: the backend is given as signed off,
and where that is not enough as lying within the private boundary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from routing.engine.branches import CAPABILITY_SIGNALS
from routing.engine.compiled import CompiledPolicy
from routing.engine.decide import decide
from routing.engine.eligibility import is_wider, rejection
from routing.engine.hops import FALLBACK_KINDS, fallback, judge_answer
from routing.engine.telling import REASON_WORDS
from routing.engine.types import BackendFacts, Decision, Facts, Scenario
from routing.engine.wording import listed

UNCERTAIN = "uncertain"
# So many ways are tried before the search gives up; a way that exists takes a handful.
MOST_TRIED = 400
_FAR = 1 << 62
_MISHAP_WORDS = {
    "failure": "fails",
    "context_window": "answers that the request is too long for it",
    "content_policy": "refuses the content",
}
_LAW = "A fallback never leaves the private boundary of the first choice, {first}."
_NOT_CROSSING = (
    "An escalation leaves the private boundary only where the policy says cross_boundary."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where the request is after one decision or hop; no backend means that it goes no further."""

    way: str
    backend: str | None
    boundary: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    decision: Decision
    steps: tuple[Step, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(step.backend for step in self.steps if step.backend is not None)


def as_listed(
    policy: CompiledPolicy, scenario: Scenario, backends: Mapping[str, BackendFacts], *, now_s: int
) -> Walk:
    """Where the policy's own rules and lists lead when nothing but they decides."""
    every = frozenset(policy.registry.data_classes)
    known = _with_down(scenario, backends)
    for name in scenario.opened:
        backend = known[name]
        known[name] = replace(
            backend,
            boundary="private" if scenario.is_unbounded else backend.boundary,
            state="active",
            key_allowed=True,
            data_classes=every,
            signoffs=dict.fromkeys(every, _FAR),
        )
    bare = replace(policy, invariants=())
    walk = _walk(bare, scenario, known, _facts(policy, scenario, now_s, frozenset()))
    return Walk(decision=walk.decision, steps=tuple(_as_registered(walk, backends)))


def as_live(
    policy: CompiledPolicy,
    scenario: Scenario,
    backends: Mapping[str, BackendFacts],
    *,
    now_s: int,
    killed: frozenset[str] = frozenset(),
) -> Walk:
    """What happens to the same request now, with the same backends down and the same mishaps."""
    facts = _facts(policy, scenario, now_s, killed)
    return _walk(policy, scenario, _with_down(scenario, backends), facts)


def stops(
    policy: CompiledPolicy,
    scenario: Scenario,
    backends: Mapping[str, BackendFacts],
    leading: Walk,
    *,
    now_s: int,
    killed: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    """Every rule that keeps the request from the last backend of `leading` in live traffic."""
    backend, names = backends[scenario.backend], leading.names
    said = []
    if scenario.way in FALLBACK_KINDS:
        first = _first_choice(policy, leading, backends) or names[0]
        if first in backends and is_wider(backend, backends[first].boundary):
            said.append(_LAW.format(first=first))
    elif scenario.way == "escalation" and len(names) > 1:
        last = backends[names[-2]]
        terms = policy.policy.escalation[last.tier]
        if is_wider(backend, last.boundary) and not terms.cross_boundary:
            said.append(_NOT_CROSSING)
    facts = _facts(policy, scenario, now_s, killed)
    data_class = leading.decision.data_class
    reason = rejection(backend, facts, data_class, policy)
    if reason is not None:
        admits = reason == "data_class" and data_class in backend.data_classes
        words = REASON_WORDS[reason].format(data_class=data_class)
        said.append(
            f"An invariant of the policy forbids {data_class} data on {backend.name}."
            if admits
            else f"{backend.name} {words}."
        )
    return tuple(said)


def assumptions(scenario: Scenario, data_class: str) -> tuple[str, ...]:
    """What is set aside so that nothing but the policy decides, in words."""
    names = listed(scenario.opened)
    verb = "admits" if len(scenario.opened) == 1 else "admit"
    said = [f"{names} {verb} {data_class} data, with a sign-off where one is needed."]
    if scenario.is_unbounded:
        said.append("Fallbacks and escalations may leave the private boundary, as the lists say.")
    return (*said, "No invariant of the policy is looked at.")


def circumstances(scenario: Scenario) -> tuple[str, ...]:
    """What else holds when the request comes, in both readings."""
    said = []
    if scenario.classifier_failed:
        said.append("The classifier could not score the request.")
    if scenario.down:
        verb = "is" if len(scenario.down) == 1 else "are"
        said.append(f"{listed(scenario.down)} {verb} not healthy.")
    said += [f"The rule {rule} has held its share of the requests." for rule in scenario.capped]
    return tuple(said)


def find(
    policy: CompiledPolicy,
    start: Scenario,
    backends: Mapping[str, BackendFacts],
    *,
    now_s: int,
    like: Scenario | None = None,
) -> Scenario | None:
    """The shortest way on which this witness, under this rule, gets to this backend as listed.

    What happened in `like` is tried first.
    """
    if like is not None:
        alike = replace(start, down=like.down, mishaps=like.mishaps)
        if _arrives(alike, as_listed(policy, alike, backends, now_s=now_s)):
            return alike
    waiting, seen = deque([start]), {_state(start)}
    while waiting and len(seen) < MOST_TRIED:
        scenario = waiting.popleft()
        walk = as_listed(policy, scenario, backends, now_s=now_s)
        if _arrives(scenario, walk):
            return scenario
        for after in _after(scenario, walk, policy):
            if _state(after) not in seen:
                seen.add(_state(after))
                waiting.append(after)
    return None


def _state(scenario: Scenario) -> tuple[tuple[str, ...], ...]:
    return tuple(sorted(scenario.down)), scenario.capped, scenario.mishaps


def _arrives(scenario: Scenario, walk: Walk) -> bool:
    last = walk.steps[-1]
    if (last.backend, last.way) != (scenario.backend, scenario.way):
        return False
    if walk.decision.rule != scenario.rule or len(walk.steps) != len(scenario.mishaps) + 1:
        return False
    if not scenario.via or last.way != "failure":
        return True
    # The document keeps a list a backend: that of the first choice, or of the one that failed.
    names = walk.names[:-1]
    return scenario.via in (names[0], names[-1]) if names else scenario.via in scenario.down


def _after(scenario: Scenario, walk: Walk, policy: CompiledPolicy) -> Iterator[Scenario]:
    """What else could befall the request where it stands."""
    last, decision = walk.steps[-1], walk.decision
    if last.backend is None:
        is_capped = decision.hold is not None and decision.hold.cap_pct is not None
        if is_capped and decision.rule != scenario.rule:
            yield replace(scenario, capped=(*scenario.capped, decision.rule))
        return
    if decision.rule == scenario.rule and len(scenario.mishaps) < policy.policy.limits.attempts:
        for mishap in (*FALLBACK_KINDS, UNCERTAIN):
            yield replace(scenario, mishaps=(*scenario.mishaps, mishap))
    if last.backend != scenario.backend:
        yield replace(scenario, down=(*scenario.down, last.backend))


def _with_down(scenario: Scenario, backends: Mapping[str, BackendFacts]) -> dict[str, BackendFacts]:
    down = {name: replace(backends[name], healthy=False) for name in scenario.down}
    return {**backends, **down}


def _facts(policy: CompiledPolicy, scenario: Scenario, now_s: int, killed: frozenset[str]) -> Facts:
    signals = scenario.signals
    given = signals.get("data_class")
    return Facts(
        signals=signals,
        data_class=given if isinstance(given, str) else policy.registry.data_classes[-1],
        now_s=now_s,
        needs=frozenset(
            word for name, word in CAPABILITY_SIGNALS.items() if signals.get(name) is True
        ),
        # The caller is one whose key may use public backends, so that every way out is seen.
        boundary_ceiling="public",
        killed=killed,
        classifier_failed=scenario.classifier_failed,
        capped_rules=frozenset(scenario.capped),
    )


def _walk(
    policy: CompiledPolicy, scenario: Scenario, known: Mapping[str, BackendFacts], facts: Facts
) -> Walk:
    decision = decide(policy, facts, known)
    steps = [
        Step(
            way=_way_of(policy, decision),
            backend=decision.backend,
            boundary=decision.boundary or "",
            sentence=decision.sentence,
        )
    ]
    called = [decision.backend] if decision.backend is not None else []
    for mishap in scenario.mishaps if called else ():
        step = _hop(policy, facts, known, called, mishap)
        steps.append(step)
        if step.backend is None:
            break
        called.append(step.backend)
    return Walk(decision=decision, steps=tuple(steps))


def _hop(
    policy: CompiledPolicy,
    facts: Facts,
    known: Mapping[str, BackendFacts],
    called: list[str],
    mishap: str,
) -> Step:
    failed = called[-1]
    if mishap == UNCERTAIN:
        judged = judge_answer(policy, facts, known, backend=failed, confidence=None)
        sentence = judged.sentence or f"The answer of {failed} is not judged, so it is served."
        return _step("escalation", judged.to, known, sentence)
    to = fallback(policy, facts, known, failed=failed, tried=called, kind=mishap)
    happened = f"{failed} {_MISHAP_WORDS[mishap]}"
    then = f"its fallback is {to}" if to else "no other backend may take the request"
    return _step(mishap, to, known, f"{happened}; {then}.")


def _step(way: str, to: str | None, known: Mapping[str, BackendFacts], sentence: str) -> Step:
    boundary = known[to].boundary if to is not None else ""
    return Step(way=way, backend=to, boundary=boundary, sentence=sentence)


def _outcome_of(policy: CompiledPolicy, decision: Decision) -> tuple[str, ...]:
    for rule in policy.rules:
        if rule.id == decision.rule:
            return rule.outcome.targets
    return policy.default.outcome.targets if decision.rule == policy.default.id else ()


def _way_of(policy: CompiledPolicy, decision: Decision) -> str:
    """A target of the rule, or a hop of the document because none of them may take it."""
    targets = _outcome_of(policy, decision)
    if decision.backend is None or not targets or decision.backend in targets:
        return "target"
    if decision.cause == "context_window":
        return "context_window"
    return "failure" if decision.cause == "fallback_error" else "target"


def _first_choice(
    policy: CompiledPolicy, walk: Walk, backends: Mapping[str, BackendFacts]
) -> str | None:
    """The backend whose boundary holds for every fallback: the first called, or else wanted."""
    if len(walk.names) > 1:
        return walk.names[0]
    targets = _outcome_of(policy, walk.decision)
    return targets[0] if targets and targets[0] in backends else None


def _as_registered(walk: Walk, backends: Mapping[str, BackendFacts]) -> Iterator[Step]:
    """The steps in the words of the registry: a backend taken for private is still public."""
    for step in walk.steps:
        if step.backend is None or backends[step.backend].boundary == step.boundary:
            yield step
            continue
        real = backends[step.backend].boundary
        sentence = step.sentence
        if step is walk.steps[0]:
            sentence = f"Under the rule {walk.decision.rule} it goes to {step.backend}."
        yield replace(step, boundary=real, sentence=sentence)
