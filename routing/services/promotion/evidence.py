"""Gathers what is known of a candidate into the evidence that a gate judges, and freezes it.

Nothing of the moment goes in: the same records give the same bytes. Shadow runs and eval runs
register what they know as a source; a part without a source is missing, and missing never passes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from routing.engine import gate
from routing.engine.canonical import digest, encode
from routing.models import Backtest, PolicyVersion
from routing.services import policies
from routing.services.backtests import is_stale
from routing.services.promotion.terms import capacity_of, terms_of

# The findings that say where data could leave; see `engine.boundaries`.
BOUNDARY_CODES = frozenset({"wider_boundary", "public_not_allowed", "data_class", "invariant"})
NOTHING: dict[str, Any] = {
    "seed": "",
    "window": {"since": "", "until": "", "days": 0},
    "pairs": {"decided": 0, "compared": 0, "sampled": 0, "dropped": {}},
}
# Each gives the named parts of the evidence for a version, or nothing.
Source = Callable[[PolicyVersion], dict[str, Any]]
PARTS = frozenset(
    {*NOTHING, "counts", "segments", "cost", "eval_set", "projected_usd", "shadow_run"}
)
_sources: dict[str, Source] = {}


def provide(name: str) -> Callable[[Source], Source]:
    """Register a source of evidence: parts of PARTS by name, as `gate.judge` reads them."""

    def register(source: Source) -> Source:
        _sources[name] = source
        return source

    return register


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def gather(version: PolicyVersion, *, at: datetime | None = None) -> dict[str, Any]:
    """The evidence for a version as it stands, with its judgement."""
    active = policies.active_version(version.route)
    found: dict[str, Any] = {
        "schema": gate.SCHEMA,
        "route": version.route.slug,
        "candidate": {"version": str(version), "digest": version.digest},
        "incumbent": active and {"version": str(active), "digest": active.digest},
        "terms": terms_of(version.route).as_json(),
        **NOTHING,
        "boundary": boundary_of(version),
        **_backtested(version),
        "waivers": _waivers(version, at or timezone.now()),
    }
    for source in _sources.values():
        parts = source(version)
        if strange := parts.keys() - PARTS:
            raise LookupError(f"a source of evidence gives unknown parts: {sorted(strange)}")
        found |= parts
    found["judgement"] = gate.judge(found).as_json()
    return found


def freeze(evidence: dict[str, Any]) -> tuple[str, str]:
    """The canonical JSON and its digest."""
    return encode(evidence).decode(), digest(evidence)


def boundary_of(version: PolicyVersion) -> dict[str, Any]:
    """The static proof: what the analysis finds against every hop of the version."""
    found = [
        finding.message
        for finding in policies.check(version)
        if finding.code in BOUNDARY_CODES and (finding.blocking or finding.blocks_activation)
    ]
    return {"violations": found[:20], "observed": 0}


def _backtested(version: PolicyVersion) -> dict[str, Any]:
    last = Backtest.objects.filter(
        version=version, digest=version.digest, state=Backtest.State.DONE
    ).first()
    if last is None:
        return {"backtest": None, "reviewers": None}
    deltas = last.result["deltas"]
    held = sum(deltas[name]["value"] for name in ("held_before", "held_change"))
    seconds = (last.until - last.since).total_seconds()
    crossing = 0 if last.acknowledged_at else last.result["crossing"]
    return {
        "backtest": {
            "days": round(seconds / 86_400, 3),
            "decisions": last.done,
            "guardrails": crossing,
            "stale": is_stale(last),
        },
        "reviewers": {
            "projected_per_day": round(max(0.0, held), 3),
            "capacity_per_day": capacity_of(version.route),
        },
    }


def _waivers(version: PolicyVersion, now: datetime) -> list[dict[str, str]]:
    return [
        {
            "check": one.check_name,
            "by": one.by.get_username(),
            "reason": one.reason,
            "expires": stamp(one.expires_at),
        }
        for one in version.waivers.select_related("by").filter(expires_at__gt=now).order_by("pk")
    ]
