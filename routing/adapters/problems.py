"""What can go wrong with a backend, in the words that retry, fallback and the breaker use.

UpstreamProblem
    Unreachable        no connection, or it broke before the answer began
    Untrusted          its certificate is not that of whom we asked for; never retried
    TooSlow            one of the clocks ran out
    BadStatus          an answer, but not a good one
    BadAnswer          status 200 and not what it should be
    Forbidden          the address is not allowed; never retried
"""

from __future__ import annotations


class UpstreamProblem(Exception):
    kind = "upstream"
    may_retry = False
    counts_against_backend = True

    def __init__(
        self, detail: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.retry_after_s = retry_after_s


class Unreachable(UpstreamProblem):
    kind = "connect"
    may_retry = True


class Untrusted(UpstreamProblem):
    kind = "tls"


class TooSlow(UpstreamProblem):
    kind = "timeout"


class BadStatus(UpstreamProblem):
    kind = "status"

    @property
    def may_retry(self) -> bool:  # type: ignore[override]
        return self.status in {408, 429, 502, 503, 504}

    @property
    def counts_against_backend(self) -> bool:  # type: ignore[override]
        return self.status is None or self.status >= 500 or self.status in {401, 403, 408}


class BadAnswer(UpstreamProblem):
    kind = "bad_answer"


class Forbidden(UpstreamProblem):
    kind = "egress"
    counts_against_backend = False
