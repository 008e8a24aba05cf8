"""What a request is told when no backend may, can or will take it: one code per cause."""

from __future__ import annotations

import json
import re
from time import monotonic
from typing import TYPE_CHECKING

from routing.adapters.problems import Forbidden, TooSlow, UpstreamProblem
from routing.gateway.errors import ApiError

if TYPE_CHECKING:
    from routing.gateway.planning import Plan
    from routing.gateway.replica import Replica

# Why no target was left, and what the client is told; what is not listed is a plain refusal.
_NO_TARGET = {
    "not_signed_off": ("egress_not_approved", "blocked"),
    "sign_off_expired": ("egress_not_approved", "blocked"),
    "data_class": ("data_class_blocked", "blocked"),
    "region": ("egress_not_approved", "blocked"),
    "key_scope": ("model_not_allowed", "blocked"),
    "context_window": ("context_length_exceeded", "refused"),
    "capability": ("unsupported_parameter", "refused"),
    "over_budget": ("budget_exceeded", "refused"),
    "cooldown": ("no_healthy_backend", "failed"),
    "unhealthy": ("no_healthy_backend", "failed"),
    "disabled": ("no_healthy_backend", "failed"),
}
_UNWELL_RETRY_S = 15
_PARAM = re.compile(r"[A-Za-z0-9_.\[\]]{1,80}\Z")


class Blocked(ApiError):
    """The egress check refused the hop although the decision had allowed it a moment before."""

    def __init__(self, reason: str) -> None:
        code = "data_class_blocked" if reason == "data_class" else "egress_not_approved"
        super().__init__(code, f"The backend may not receive this request now: {reason}.")
        self.reason = reason


class Resting(UpstreamProblem):
    """The breaker opened, or its one probe left, between the decision and this hop."""

    kind = "cooldown"
    counts_against_backend = False


def of_decision(plan: Plan, replica: Replica) -> tuple[ApiError, str]:
    """The error and the outcome of a decision to refuse: the policy's word, or no target left."""
    decision = plan.decision
    code, outcome = _NO_TARGET.get(decision.no_target or "", ("refused", "refused"))
    retry_after_s = None
    if code == "no_healthy_backend":
        retry_after_s = wait_s(replica)
    error = ApiError(code, decision.sentence, retry_after_s=retry_after_s)
    return error, outcome


def wait_s(replica: Replica) -> int:
    """Whole seconds until the first breaker lets somebody try again."""
    now = monotonic()
    waits = [wait for one in replica.breakers() if (wait := one.opens_in(now))]
    return max(1, min(60, round(min(waits)))) if waits else _UNWELL_RETRY_S


def fallback_kind(problem: UpstreamProblem) -> str:
    if problem.status == 400:
        if "context" in problem.detail and "length" in problem.detail:
            return "context_window"
        if "content_filter" in problem.detail or "content_policy" in problem.detail:
            return "content_policy"
    return "failure"


def may_fall_back(problem: UpstreamProblem) -> bool:
    # The caller's own mistake would be the same mistake everywhere.
    is_callers_fault = (
        problem.status in {400, 404, 413, 422} and fallback_kind(problem) == "failure"
    )
    return not is_callers_fault and not isinstance(problem, Forbidden)


def _named(problem: UpstreamProblem) -> str | None:
    """The parameter that a backend's error object names; its words are not passed on."""
    try:
        param = json.loads(problem.detail)["error"]["param"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return param if isinstance(param, str) and _PARAM.match(param) else None


def of_problem(problem: UpstreamProblem, replica: Replica) -> ApiError:
    """The error of a request whose last permitted hop failed."""
    if isinstance(problem, Forbidden):
        return Blocked("address")
    if isinstance(problem, TooSlow):
        return ApiError("upstream_timeout", "No backend answered within the deadline.")
    if isinstance(problem, Resting):
        return ApiError(
            "no_healthy_backend",
            "Every permitted backend rests after failures.",
            retry_after_s=wait_s(replica),
        )
    if problem.status in {400, 413, 422}:
        if fallback_kind(problem) == "context_window":
            return ApiError(
                "context_length_exceeded", "The request is longer than the model can read."
            )
        if "unsupported_parameter" in problem.detail or "unsupported_value" in problem.detail:
            return ApiError(
                "unsupported_parameter",
                "The backend does not support a parameter of this request.",
                param=_named(problem),
            )
        return ApiError(
            "invalid_request", "The backend refused the request as invalid.", param=_named(problem)
        )
    if problem.status == 429:
        retry_after = min(60, max(1, round(problem.retry_after_s or 5)))
        return ApiError(
            "no_healthy_backend", "Every permitted backend is busy.", retry_after_s=retry_after
        )
    return ApiError("upstream_error", "No permitted backend gave a usable answer.")
