"""What a threshold on the gain may promise: a risk target on average, a certified bound, or none.

The loss of a request is the quality that is lost by sending it to the small model although the
larger one is better. Requests go to the small model when their gain is at most the threshold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import beta

from routing.training.samples import Numbers

TARGETS = (0.02, 0.05, 0.1)
BOUNDS = (0.05, 0.1, 0.2, 0.25)
CONFIDENCE = 0.9
_FIRST_SHARE, _STEP = 0.2, 0.05


def conformal_threshold(gains: Numbers, losses: Numbers, target: float) -> float | None:
    """The largest threshold whose corrected mean loss keeps the target; None when none does.

    Conformal risk control (arXiv 2208.02814) for losses of at most 1: over the draw of the
    calibration requests, the mean loss of the next one is at most `target`.
    """
    order = np.argsort(gains, kind="stable")
    ordered, sums = gains[order], np.cumsum(losses[order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    kept = last[(sums[last] + 1) / (len(gains) + 1) <= target]
    return float(ordered[kept[-1]]) if len(kept) else None


def targets(gains: Numbers, small: Numbers, large: Numbers) -> list[dict[str, Any]]:
    losses = np.maximum(large - small, 0)
    found = []
    for target in TARGETS:
        threshold = conformal_threshold(gains, losses, target)
        sent = gains <= threshold if threshold is not None else np.zeros(len(gains), bool)
        found.append(
            {
                "at_most": target,
                "threshold": None if threshold is None else round(threshold, 6),
                "share_small": round(float(sent.mean()), 4),
                "realised": round(float((losses * sent).mean()), 4),
            }
        )
    return found


def upper_bound(failures: int, count: int, confidence: float = CONFIDENCE) -> float:
    """Clopper and Pearson's one-sided bound on the rate behind `failures` of `count`."""
    if failures >= count:
        return 1.0
    return float(beta.ppf(confidence, failures + 1, count - failures))


def certified(gains: Numbers, small: Numbers) -> list[dict[str, Any]]:
    """The largest share to the small model whose errors are certified to stay within a bound.

    Shares are tested from small to large and the first failure ends the test, which keeps the
    confidence whatever their number. `share_small` None: cannot be certified.
    """
    order = np.argsort(gains, kind="stable")
    wrong = np.cumsum(small[order] < 0.5)
    found = []
    for bound in BOUNDS:
        best: dict[str, float] | None = None
        for share in np.arange(_FIRST_SHARE, 1 + _STEP / 2, _STEP):
            count = round(float(share) * len(gains))
            if not count or upper_bound(int(wrong[count - 1]), count) > bound:
                break
            best = {
                "share_small": round(float(share), 2),
                "threshold": round(float(gains[order[count - 1]]), 6),
            }
        found.append({"at_most": bound, "confidence": CONFIDENCE, **_certificate(best)})
    return found


def _certificate(best: dict[str, float] | None) -> dict[str, float | None]:
    return {**best} if best else {"share_small": None, "threshold": None}
