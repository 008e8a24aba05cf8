"""How the trail has a verdict: sealed as a digest while a second look is to come, then in words."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from review.models import Case, CaseVerdict


def told(verdict: CaseVerdict) -> dict[str, Any]:
    """A verdict as the trail has it. No word of a request or an answer is in it."""
    return {
        "verdict": verdict.kind,
        "reason_code": verdict.reason_code,
        "candidate_backend": verdict.candidate_backend,
        "changed_permille": verdict.changed_permille,
        "commitment": verdict.commitment or None,
        "flags": verdict.flags,
        "open_ms": verdict.open_ms,
    }


def unsealed(verdict: CaseVerdict) -> dict[str, Any]:
    """A verdict that was kept from a second reviewer, with what its digest was made of."""
    reason = verdict.reason
    return {"by": str(verdict.by), **told(verdict), "reason": reason, "nonce": verdict.nonce}


def digest_of(opened: dict[str, Any]) -> str:
    """The digest of an unsealed verdict; anyone who has one can check it against the trail."""
    written = json.dumps(opened, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return "sha256:" + sha256(written.encode()).hexdigest()


def untold_first(case: Case) -> dict[str, Any]:
    """A first verdict that no second reviewer came to see; the trail has only its digest so far."""
    if case.stage != Case.Stage.SECOND:
        return {}
    return {"first": unsealed(case.verdicts.select_related("by").get(stage=Case.Stage.FIRST))}
