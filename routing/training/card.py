"""The model card: what a classifier was trained on, how good it is, and what it may not do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from routing.engine.evidence import COIN, FEWEST_TO_PROVE, FEWEST_TO_TRAIN
from routing.engine.features import FEATURE_WORDS
from routing.training.evalsets import EvalSet
from routing.training.samples import Sample

if TYPE_CHECKING:
    from routing.training.train import Options


def verdict(apgr: float | None, low: float | None, rows: int) -> dict[str, Any]:
    """Whether a policy may enforce it, and the sentence that says so."""
    reasons = []
    if apgr is None or low is None:
        reasons.append("Both models are equally good on these prompts; there is nothing to route.")
    elif low <= COIN:
        reasons.append(
            f"{'Barely' if apgr > COIN else 'Not'} better than random: APGR {apgr:.3f}, and its "
            f"lower 95 % bound is {low:.3f}, where a coin has .500. This pair may not be told "
            "apart before an answer exists; consider checking the small model's answer and "
            "escalating instead."
        )
    if rows < FEWEST_TO_TRAIN:
        reasons.append(
            f"Trained on {rows:,} labelled prompts; {FEWEST_TO_TRAIN} are the least for "
            "enforcement."
        )
    elif rows < FEWEST_TO_PROVE:
        reasons.append(
            f"Judged by {rows:,} prompts apart; {FEWEST_TO_PROVE} are the least to prove it. "
            f"Record a measurement on {FEWEST_TO_PROVE} others."
        )
    if reasons:
        return {
            "enforceable": False,
            "sentence": " ".join(reasons) + " Not enforceable: use rules and shadow mode.",
        }
    return {
        "enforceable": True,
        "sentence": f"Better than random: APGR {apgr:.3f}, lower 95 % bound {low:.3f} (a coin has "
        ".500).",
    }


def model_card(
    evalset: EvalSet,
    sample: Sample,
    artefact: dict[str, Any],
    options: Options,
    found: dict[str, Any],
    *,
    folds: int,
) -> dict[str, Any]:
    low_high = found["intervals"]
    metrics = {
        name: {
            "value": None if value is None else round(value, 5),
            "low": round(low_high[name].low, 5) if name in low_high else None,
            "high": round(low_high[name].high, 5) if name in low_high else None,
        }
        for name, value in found["metrics"].items()
    }
    area = metrics["apgr"]
    return {
        "schema": "signalbox.model_card/1",
        "name": artefact["name"],
        "version": artefact["version"],
        "owner": options.owner,
        "pair": evalset.pair,
        "data_digest": evalset.digest,
        "rows": len(sample),
        "rows_without_words": len(evalset.rows) - len(sample),
        "groups": len(set(sample.groups)),
        "categories": dict(Counter(row.category or "none" for row in evalset.rows).most_common(60)),
        "sources": sorted({row.source or "unnamed" for row in evalset.rows}),
        "topics": dict(Counter(sample.topics).most_common()),
        "seed": options.seed,
        "folds": folds,
        "features": len(artefact["features"]),
        "ngrams": len(artefact["ngrams"]["weights"]),
        "mean_small": round(float(sample.small.mean()), 5),
        "mean_large": round(float(sample.large.mean()), 5),
        "large_better": round(float((sample.large > sample.small).mean()), 5),
        "small_better": round(float((sample.large < sample.small).mean()), 5),
        "metrics": metrics,
        "verdict": verdict(area["value"], area["low"], len(sample)),
        "curve": found["curve"],
        "calibration": found["calibration"],
        "learning_curve": found["learning_curve"],
        "targets": found["targets"],
        "certified": found["certified"],
        "weighs_most": _weighs_most(sample, artefact),
    }


def _weighs_most(sample: Sample, artefact: dict[str, Any]) -> list[dict[str, Any]]:
    """Features by what they move: quality points per standard deviation."""
    spreads = sample.features.std(0)
    moved = [
        {
            "name": item["name"],
            "words": FEATURE_WORDS[item["name"]],
            "points": item["gain"] * spread,
        }
        for item, spread in zip(artefact["features"], spreads.tolist(), strict=True)
    ]
    moved.sort(key=lambda item: (-abs(item["points"]), item["name"]))
    return [{**item, "points": round(100 * item["points"], 2)} for item in moved[:15]]
