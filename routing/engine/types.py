"""The values that go into a decision and come out of it.

Beyond the first contract: `Facts` also has `failed_signals`, `capped_rules` and `regions`,
`BackendFacts` has `region`, and `Decision` has `boundary`, `no_target`, `sticky` and `shadow`;
all have defaults. `Leaf`, `RuleTrace` and `CandidateTrace` are named tuples, because one decision
builds some thirty of them and a frozen dataclass costs four times as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

# What a signal may hold. An absent signal is a missing key, never None.
SignalValue = str | bool | int | Decimal | frozenset[str]

ACTIONS = ("route", "hold", "safe_default", "refuse")

CAUSES = (
    "rule_match",
    "default_route",
    "explicit_pin",
    "sticky_session",
    "classifier_unavailable",
    "context_window",
    "capability",
    "uncertain_escalated",
    "fallback_error",
    "fallback_timeout",
    "budget",
    "safe_default",
    "held",
    "refused",
    "kill_switch",
    "rollout_baseline",
)

REJECTIONS = (
    "not_signed_off",
    "sign_off_expired",
    "data_class",
    "region",
    "capability",
    "context_window",
    "cooldown",
    "unhealthy",
    "over_budget",
    "key_scope",
    "disabled",
    "lower_priority",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What happens to a witness on its way to `backend`, beside what it is: see `leaks`.

    `opened` are the backends that are taken to be signed off and to admit every data class, and
    with `is_unbounded` to lie within the private boundary. `down` are unhealthy, `capped` are rules
    whose holds are used up, and `mishaps` befall the calls in turn.
    """

    backend: str
    rule: str
    way: str
    signals: Mapping[str, SignalValue]
    opened: tuple[str, ...]
    is_unbounded: bool = False
    via: str = ""
    classifier_failed: bool = False
    down: tuple[str, ...] = ()
    capped: tuple[str, ...] = ()
    mishaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a policy, and where.

    `witness` is a request that shows it, and `scenario` the way on which its data would leave.

    A blocking one keeps a version from being submitted; `blocks_activation` lets it be judged,
    simulated and tried in shadow, and not become active.
    """

    code: str
    path: str
    message: str
    blocking: bool = True
    witness: Mapping[str, SignalValue] | None = None
    scenario: Scenario | None = None
    blocks_activation: bool = False

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "code": self.code,
            "path": self.path,
            "message": self.message,
            "blocking": self.blocking,
            "blocks_activation": self.blocking or self.blocks_activation,
        }
        if self.witness is not None:
            found["witness"] = {name: plain(value) for name, value in self.witness.items()}
        return found


class PolicyError(ValueError):
    """The document is not a policy; `findings` says where and why, in words."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("; ".join(f"{f.path or 'document'}: {f.message}" for f in findings[:3]))


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendFacts:
    """What is known of one registered backend now. Prices are USD per million tokens.

    `signoffs` maps a data class to the second (unix) at which its sign-off ends; it counts for
    public backends only.
    """

    name: str
    tier: str
    boundary: str
    state: str = "active"
    healthy: bool = True
    cooling: bool = False
    context_window: int = 8192
    capabilities: frozenset[str] = frozenset()
    data_classes: frozenset[str] = frozenset()
    signoffs: Mapping[str, int] = field(default_factory=dict)
    price_in: Decimal = Decimal(0)
    price_out: Decimal = Decimal(0)
    over_budget: bool = False
    key_allowed: bool = True
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything about one request that a decision may depend on.

    `killed` holds "public", backend names and route slugs. `failed_signals` are those that were
    due and could not be measured (`classifier_failed` stands for the classifier's three).
    `capped_rules` are rules whose share of holds is used up. Empty `regions` means any region.
    `arm` is the side of a running rollout on which the request is: candidate, baseline or none.
    """

    signals: Mapping[str, SignalValue]
    data_class: str
    now_s: int
    needs: frozenset[str] = frozenset()
    output_tokens: int = 0
    pin: str | None = None
    boundary_ceiling: str = "private"
    sticky_tier: str | None = None
    in_rollout: bool = True
    baseline: str | None = None
    killed: frozenset[str] = frozenset()
    classifier_failed: bool = False
    failed_signals: frozenset[str] = frozenset()
    capped_rules: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    arm: str = ""


class Leaf(NamedTuple):
    """One comparison as it was evaluated; `observed` is None where the signal was absent."""

    signal: str
    operator: str
    constant: Any
    observed: Any


class RuleTrace(NamedTuple):
    """How one rule came out: matched, no_match (with its first failing leaf) or not_reached."""

    id: str
    name: str
    state: str
    failing: Leaf | None


class CandidateTrace(NamedTuple):
    """One registered backend: chosen, eligible (behind the chosen) or rejected, with the reason."""

    name: str
    tier: str
    boundary: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """How the decision came about. `personal` names the signals whose values are withheld."""

    policy: str
    digest: str
    classifier: str | None
    signals: Mapping[str, SignalValue]
    rules: tuple[RuleTrace, ...]
    candidates: tuple[CandidateTrace, ...]
    personal: frozenset[str] = frozenset()

    def as_json(self) -> dict[str, Any]:
        return {
            "policy": self.policy,
            "digest": self.digest,
            "classifier": self.classifier,
            "signals": {
                name: WITHHELD if name in self.personal else plain(value)
                for name, value in self.signals.items()
            },
            "rules": [self._rule(rule) for rule in self.rules],
            "candidates": [candidate._asdict() for candidate in self.candidates],
        }

    def _rule(self, rule: RuleTrace) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": rule.id, "name": rule.name, "state": rule.state}
        if rule.failing is not None:
            signal, operator, constant, observed = rule.failing
            if observed is not None and signal in self.personal:
                observed = WITHHELD
            shown["failing"] = {
                "signal": signal,
                "operator": operator,
                "constant": plain(constant),
                "observed": plain(observed),
            }
        return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldTerms:
    """How long a person has, where the case waits, and what happens when nobody comes.

    `on_timeout` is safe_default, refuse or pending. `candidate` is the backend whose draft answer
    the reviewer sees. `cap_pct` bounds the share of the route's requests this rule may hold.
    """

    queue: str
    hold_s: int
    on_timeout: str
    candidate: str | None = None
    cap_pct: Decimal | None = None
    over_cap: str = "safe_default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The clocks of one request in milliseconds, and how many backends may be called."""

    deadline_ms: int = 30_000
    first_token_ms: int = 8_000
    stream_idle_ms: int = 20_000
    attempts: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeDefault:
    """The answer that is given when nobody may or can answer."""

    text: str
    finish_reason: str = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to one request, and why.

    `plan` holds the other eligible backends in order. `no_target` is the commonest rejection
    reason where a route outcome found no backend. `sticky` and `shadow` say whether the session
    may remember this tier and whether shadow versions may see the request.
    """

    action: str
    backend: str | None
    tier: str | None
    boundary: str | None
    rule: str
    cause: str
    sentence: str
    plan: tuple[str, ...]
    hold: HoldTerms | None
    limits: Limits
    safe_default: SafeDefault
    data_class: str
    trace: Trace
    no_target: str | None = None
    sticky: bool = False
    shadow: bool = True

    def as_json(self) -> dict[str, Any]:
        """A dict of str, int, bool, list and dict only: decimals are strings, sets are sorted."""
        hold = self.hold
        return {
            "action": self.action,
            "backend": self.backend,
            "tier": self.tier,
            "boundary": self.boundary,
            "rule": self.rule,
            "cause": self.cause,
            "sentence": self.sentence,
            "plan": list(self.plan),
            "hold": None
            if hold is None
            else {
                "queue": hold.queue,
                "hold_s": hold.hold_s,
                "on_timeout": hold.on_timeout,
                "candidate": hold.candidate,
                "cap_pct": plain(hold.cap_pct),
                "over_cap": hold.over_cap,
            },
            "limits": {
                "deadline_ms": self.limits.deadline_ms,
                "first_token_ms": self.limits.first_token_ms,
                "stream_idle_ms": self.limits.stream_idle_ms,
                "attempts": self.limits.attempts,
            },
            "data_class": self.data_class,
            "no_target": self.no_target,
            "sticky": self.sticky,
            "shadow": self.shadow,
            "trace": self.trace.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Followup:
    """What to do with a backend's answer: accept, escalate (to `to`), hold or safe_default."""

    action: str
    to: str | None = None
    hold: HoldTerms | None = None
    cause: str | None = None
    sentence: str = ""


WITHHELD = "withheld"
_AS_THEY_ARE = frozenset({str, bool, int, type(None)})


def plain(value: Any) -> Any:
    """A signal value or constant as JSON without floats: decimals as strings, sets as lists."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is Decimal:
        return format(value, "f")
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (frozenset, set)):
        return sorted(str(item) for item in value)
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return str(value)
