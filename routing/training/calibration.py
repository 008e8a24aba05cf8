"""Makes the score mean what it says: Platt scaling, which stays additive, beside isotonic."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from routing.engine import curve
from routing.training.samples import Numbers, folds_of

_BINS = 10


class Platt(NamedTuple):
    """log-odds -> slope * log-odds + shift; both heads' weights take it in."""

    slope: float
    shift: float

    def __call__(self, log_odds: Numbers) -> Numbers:
        return self.slope * log_odds + self.shift


def probabilities(log_odds: Numbers) -> Numbers:
    shares: Numbers = 1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))
    return shares


def platt(log_odds: Numbers, good: Numbers) -> Platt:
    """Fitted on out-of-fold log-odds. A slope below zero would turn the score round: then none."""
    truths = np.concatenate([np.ones(len(good)), np.zeros(len(good))])
    shares = np.concatenate([good, 1 - good])
    present = shares > 0
    if len(set(truths[present])) < 2 or np.ptp(log_odds) < 1e-9:
        return Platt(1.0, 0.0)
    model = LogisticRegression(C=1e4, max_iter=200)
    doubled = np.concatenate([log_odds, log_odds])[:, None]
    model.fit(doubled[present], truths[present], sample_weight=shares[present])
    slope, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    return Platt(slope, shift) if slope > 0 else Platt(1.0, 0.0)


def report(log_odds: Numbers, good: Numbers, groups: tuple[str, ...], seed: int) -> dict[str, Any]:
    """Calibration errors, each method fitted and judged on different groups; and the bins."""
    scaled, stepped = np.zeros(len(good)), np.zeros(len(good))
    raw = probabilities(log_odds)
    for fitted, judged in folds_of(groups, 5, seed + 1):
        scaled[judged] = probabilities(platt(log_odds[fitted], good[fitted])(log_odds[judged]))
        steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        stepped[judged] = steps.fit(raw[fitted], good[fitted]).predict(raw[judged])
    order = np.argsort(scaled, kind="stable").tolist()
    return {
        "ece_raw": _error(raw, good),
        "ece_platt": _error(scaled, good),
        "ece_isotonic": _error(stepped, good),
        "used": "platt",
        "bins": [
            {
                "predicted": round(float(scaled[part].mean()), 4),
                "observed": round(float(good[part].mean()), 4),
                "count": len(part),
            }
            for part in map(list, curve.equal_parts(order, _BINS))
        ],
    }


def _error(given: Numbers, good: Numbers) -> float:
    return round(curve.ece((1 - given).tolist(), (1 - good).tolist()), 4)
