"""Whether a backend may take a request: the egress rules, and then what it is able to do.

The order of the checks is the order in which people want to know: stopped, not allowed, not able,
not well.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal

from routing.engine.compiled import CompiledInvariant, CompiledPolicy
from routing.engine.types import BackendFacts, Facts

MILLION = Decimal(1_000_000)


def may_send(
    backend: BackendFacts,
    data_class: str,
    now_s: int,
    boundary_ceiling: str,
    killed: AbstractSet[str],
    policy: CompiledPolicy | None = None,
) -> str | None:
    """Why this data may not go to this backend now, or None. Ask again at every dispatch.

    A draining backend still finishes what was decided for it, so draining is no reason here.
    """
    if backend.state == "disabled" or is_killed(backend, killed):
        return "disabled"
    if policy is not None and policy.route in killed:
        return "disabled"
    if not backend.key_allowed:
        return "key_scope"
    # Whatever is not plainly private is treated as public: an unknown word must not open a door.
    is_public = backend.boundary != "private"
    if is_public and boundary_ceiling != "public":
        return "key_scope"
    if data_class not in backend.data_classes:
        return "data_class"
    if is_public:
        expiry = backend.signoffs.get(data_class)
        if expiry is None:
            return "not_signed_off"
        if expiry <= now_s:
            return "sign_off_expired"
    if policy is not None and any(
        invariant.only_data_class
        and invariant.holds({"data_class": data_class})
        and invariant.applies_to(backend)
        for invariant in policy.invariants
    ):
        return "data_class"
    return None


def is_killed(backend: BackendFacts, killed: AbstractSet[str]) -> bool:
    if not killed:
        return False
    return backend.name in killed or (backend.boundary != "private" and "public" in killed)


def rejection(
    backend: BackendFacts,
    facts: Facts,
    data_class: str,
    policy: CompiledPolicy,
    max_cost_usd: Decimal | None = None,
    invariants: Sequence[CompiledInvariant] | None = None,
) -> str | None:
    """Why this backend may not take this request, from the closed list, or None.

    `invariants` are those of `invariants_on()`, for callers that ask about several backends.
    """
    if backend.state != "active" or policy.route in facts.killed:
        return "disabled"
    reason = may_send(backend, data_class, facts.now_s, facts.boundary_ceiling, facts.killed)
    if reason is not None:
        return reason
    signals = facts.signals
    if invariants is None:
        invariants = invariants_on(facts, data_class, policy)
    for invariant in invariants:
        if invariant.applies_to(backend):
            return "data_class"
    if facts.regions and backend.region not in facts.regions:
        return "region"
    if not facts.needs <= backend.capabilities:
        return "capability"
    tokens = signals.get("prompt_tokens", 0)
    prompt_tokens = tokens if isinstance(tokens, int) else 0
    if prompt_tokens + facts.output_tokens > backend.context_window:
        return "context_window"
    if backend.over_budget:
        return "over_budget"
    if max_cost_usd is not None:
        price = prompt_tokens * backend.price_in + facts.output_tokens * backend.price_out
        if price > max_cost_usd * MILLION:
            return "over_budget"
    if not backend.healthy:
        return "unhealthy"
    return "cooldown" if backend.cooling else None


def invariants_on(
    facts: Facts, data_class: str, policy: CompiledPolicy
) -> Sequence[CompiledInvariant]:
    """The invariants whose signals this request has; they forbid the backends they name."""
    if not policy.invariants:
        return ()
    seen = {**facts.signals, "data_class": data_class}
    return [invariant for invariant in policy.invariants if invariant.holds(seen)]


def is_wider(backend: BackendFacts, than: str) -> bool:
    """Whether going to this backend leaves the boundary `than`."""
    return than == "private" and backend.boundary != "private"
