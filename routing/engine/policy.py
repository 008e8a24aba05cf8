"""A policy as values: what `document` reads and `compiled` prepares for deciding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from routing.engine.registry import Registry
from routing.engine.types import HoldTerms, Limits, SafeDefault, SignalValue

SCHEMA = "signalbox.policy/1"

# What a condition compares with: a word, a truth value, a number, or several of one kind.
Constant = str | bool | Decimal | tuple[str, ...] | tuple[Decimal, ...]

# Rule names of the trace that stand for no rule of the document.
DEFAULT_RULE, BASELINE_RULE, FAILURE_RULE = "default", "baseline", "on_classifier_failure"
RESERVED_IDS = frozenset({DEFAULT_RULE, BASELINE_RULE, FAILURE_RULE})


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison of one signal with a constant."""

    signal: str
    operator: str
    constant: Constant


@dataclass(frozen=True, slots=True)
class Group:
    """`all`, `any` or `not` (with one item) of conditions."""

    kind: str
    items: tuple[Condition, ...]


Condition = Test | Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a rule does: route, escalate, hold, safe_default, refuse, or (nested only) next.

    `targets` empty means every backend of the tier, the cheapest first. `on_no_target` applies when
    neither the targets nor the fallbacks may take the request.
    """

    action: str
    tier: str | None = None
    targets: tuple[str, ...] = ()
    hold: HoldTerms | None = None
    safe_default: SafeDefault | None = None
    message: str | None = None
    on_no_target: Outcome | None = None
    data_class: str | None = None
    deadline_ms: int | None = None
    max_cost_usd: Decimal | None = None
    sticky: bool = True
    shadow: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    id: str
    name: str
    when: Condition
    then: Outcome
    owner: str = ""
    note: str = ""
    is_enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallbacks:
    """Which backend comes next after a failure, per kind of failure."""

    failure: Mapping[str, tuple[str, ...]]
    context_window: tuple[str, ...] = ()
    content_policy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """When the answer of a tier is too uncertain, and what happens then."""

    signal: str
    accept_gte: Decimal
    on_uncertain: Outcome
    to: tuple[str, ...]
    then: Outcome
    cross_boundary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    sticky: bool = False
    ttl_s: int = 1800
    may_rise: bool = True
    may_fall: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """A combination of signals and backend properties that no request may ever meet."""

    signals: tuple[Test, ...]
    backend: tuple[Test, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A test that the document carries: given these signals, expect this decision."""

    name: str
    given: Mapping[str, SignalValue]
    classifier_failed: bool
    expect: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    route: str
    owner: str
    classifier: str | None
    registry: Registry
    timeouts_ms: Mapping[str, int]
    rules: tuple[Rule, ...]
    default: Outcome
    fallbacks: Fallbacks
    escalation: Mapping[str, Escalation]
    safe_default: SafeDefault
    session: Session
    limits: Limits
    on_classifier_failure: Mapping[str, Outcome]
    invariants: tuple[Invariant, ...]
    tests: tuple[Example, ...]
