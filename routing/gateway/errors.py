"""What the live API refuses, each with its status, its code and the fields that clients read."""

from __future__ import annotations

from collections.abc import Mapping

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "conflict_error",
    413: "invalid_request_error",
    422: "policy_refusal",
    429: "rate_limit_error",
}
CODES = {
    "invalid_request": 400,
    "context_length_exceeded": 400,
    "unsupported_parameter": 400,
    "invalid_api_key": 401,
    "model_not_allowed": 403,
    "egress_not_approved": 403,
    "data_class_blocked": 403,
    "model_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "human_review_pending": 409,
    "human_review_denied": 409,
    "request_cancelled": 409,
    "request_timeout": 408,
    "request_too_large": 413,
    "refused": 422,
    "rate_limit_exceeded": 429,
    "budget_exceeded": 429,
    "internal_error": 500,
    "upstream_error": 502,
    "no_healthy_backend": 503,
    "policy_unavailable": 503,
    "audit_unavailable": 503,
    "router_stopped": 503,
    "upstream_timeout": 504,
}
# Our own chain is exhausted, or a person decides: a client's retry would only multiply the load.
_FINAL = {
    "human_review_pending",
    "human_review_denied",
    "request_cancelled",
    "budget_exceeded",
    "upstream_error",
    "upstream_timeout",
    "refused",
}


class ApiError(Exception):
    def __init__(
        self, code: str, message: str, *, param: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = CODES[code]
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    def headers(self) -> list[tuple[bytes, bytes]]:
        made = []
        if self.code in _FINAL:
            made.append((b"x-should-retry", b"false"))
        if self.retry_after_s is not None:
            made.append((b"retry-after", str(self.retry_after_s).encode()))
        return made

    def fields(
        self, *, request_id: str, decision_id: str | None, extra: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        """The four fields of the OpenAI schema, and our two ids."""
        return {
            "message": self.message,
            "type": _TYPES.get(self.status, "server_error"),
            "param": self.param,
            "code": self.code,
            "request_id": request_id,
            "decision_id": decision_id,
            **(extra or {}),
        }
