"""What stands behind a version, for its dossier: evaluation, backtests, shadow runs, approvals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from routing.engine.changes import BUCKETS, GUARDRAILS
from routing.models import Backtest, Classifier, PolicyVersion
from routing.services.measuring import METRICS

NONE_YET: Final = "None yet."


def evaluation_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The card of the classifier that the document names, with the interval of every metric."""
    name, _, number = str(document.get("classifier") or "").partition("@")
    found = Classifier.objects.filter(
        name=name, version=int(number) if number.isdecimal() else 0
    ).first()
    if found is None:
        return {"sentence": NONE_YET, "of": "", "metrics": []}
    card = found.card
    rows, data = card.get("rows"), str(card.get("data_digest"))[:19]
    return {
        "sentence": card.get("verdict", {}).get("sentence", "The card has no verdict."),
        "of": f"{found}, {found.digest[:19]}, {rows} rows, data {data}",
        "metrics": [
            {"words": words, **_figures(card.get("metrics", {}).get(key) or {})}
            for key, words in METRICS
        ],
    }


def _figures(given: Mapping[str, Any]) -> dict[str, str]:
    value, low, high = (given.get(one) for one in ("value", "low", "high"))
    has_interval = low is not None and high is not None
    return {
        "value": "not measured" if value is None else f"{value:.3f}",
        "interval": f"{low:.3f} to {high:.3f}" if has_interval else "none",
    }


def backtests_of(version: PolicyVersion) -> list[dict[str, str]]:
    """Every run that ended well, the newest first; one of an earlier document says so."""
    runs = Backtest.objects.filter(version=version, state=Backtest.State.DONE)
    return [_run(one, version) for one in runs.select_related("acknowledged_by")]


def _run(run: Backtest, version: PolicyVersion) -> dict[str, str]:
    counts = [f"{BUCKETS[code]} {run.counts[code]:,}" for code in BUCKETS if run.counts.get(code)]
    crossed = [
        f"{GUARDRAILS.get(code, code)} {n:,}"
        for code, n in run.result.get("guardrails", {}).items()
    ]
    noted = ""
    if run.acknowledged_by:
        noted = f"; noted by {run.acknowledged_by}: {run.acknowledged_why}"
    is_own = run.digest == version.digest
    return {
        "window": f"{run.since:%Y-%m-%d} to {run.until:%Y-%m-%d}",
        "decisions": f"{run.done:,} of {run.in_window:,}",
        "result": "; ".join(counts) or "nothing was decided again",
        "guardrails": "; ".join(crossed) + noted if crossed else "none crossed",
        "of": "this document" if is_own else f"an earlier document, {run.digest[:19]}",
    }


def approvals_of(version: PolicyVersion) -> list[dict[str, str]]:
    return [
        {
            "by": str(one.by),
            "verdict": one.get_verdict_display(),
            "comment": one.comment,
            "at": f"{one.at:%Y-%m-%d %H:%M} UTC",
            "digest": one.digest,
        }
        for one in version.approvals.select_related("by").order_by("at")
    ]
