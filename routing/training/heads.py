"""Fits the two additive heads: a ridge on the gain, a logistic on whether the small model suffices.

Features are standardised and n-grams weighed by (1 + log count) * idf, normalised over the chosen
ones, as the engine does. The penalties were chosen once by grouped cross-validation; see
docs/quality.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import normalize

from routing.engine.classifier import MAX_NGRAMS
from routing.training.samples import Numbers, Places, Sample

_FEATURE_PENALTY = 2_000.0
# Few labels leave few n-grams that are frequent enough, and those are worth more.
_NGRAM_PENALTY, _NGRAM_PENALTY_OF_FEW, _FEW = 60.0, 30.0, 2_000
_SELECTION_PENALTY, _FEWEST_PROMPTS = 50.0, 5
# A logistic's curvature is about a fifth of a square's, so the same belief is a fifth the penalty.
_LOGISTIC_SHARE = 0.2
_CONSTANT = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Weights in natural units: of each feature, and of each normalised n-gram."""

    gain_at_zero: float
    score_at_zero: float
    gain_weights: Numbers
    score_weights: Numbers
    grams: Places
    idf: Numbers
    gram_gains: Numbers
    gram_scores: Numbers

    def gains(self, sample: Sample, rows: Places) -> Numbers:
        sums = sample.features[rows] @ self.gain_weights + self.gain_at_zero
        return self._with_grams(sums, self.gram_gains, sample, rows)

    def log_odds(self, sample: Sample, rows: Places) -> Numbers:
        sums = sample.features[rows] @ self.score_weights + self.score_at_zero
        return self._with_grams(sums, self.gram_scores, sample, rows)

    def _with_grams(self, sums: Numbers, weights: Numbers, sample: Sample, rows: Places) -> Numbers:
        if sample.counts is None or not len(self.grams):
            return sums
        parts: Numbers = sums + normalize(
            _log_counts(sample.counts[rows][:, self.grams]) @ sp.diags(self.idf)
        ).dot(weights)
        return parts


def fit(sample: Sample, rows: Places, *, with_ngrams: bool, gain_only: bool = False) -> Fitted:
    features = sample.features[rows]
    means, spreads = features.mean(0), features.std(0)
    varies = spreads > _CONSTANT
    scales = np.where(varies, 1 / np.where(varies, spreads, 1), 0)
    standard = (features - means) * scales
    grams, idf, weighed = _chosen(sample, rows) if with_ngrams else _no_grams(len(rows))
    gram_means = weighed.mean(0)
    penalty = _NGRAM_PENALTY if len(rows) >= _FEW else _NGRAM_PENALTY_OF_FEW
    columns = np.hstack(
        [
            standard / np.sqrt(_FEATURE_PENALTY),
            (weighed - gram_means) / np.sqrt(penalty),
        ]
    )
    back = np.concatenate(
        [scales / np.sqrt(_FEATURE_PENALTY), np.full(len(grams), 1 / np.sqrt(penalty))]
    )
    centre = np.concatenate([means, gram_means])
    ridge = Ridge(alpha=1.0, solver="cholesky").fit(columns, sample.gains[rows])
    gain_weights = ridge.coef_ * back
    score_weights, score_bias = np.zeros_like(back), 0.0
    if not gain_only:
        odds, score_bias = _logistic(columns, sample.small[rows])
        score_weights = odds * back
    cut = features.shape[1]
    return Fitted(
        gain_at_zero=float(ridge.intercept_ - gain_weights @ centre),
        score_at_zero=float(score_bias - score_weights @ centre),
        gain_weights=gain_weights[:cut],
        score_weights=score_weights[:cut],
        grams=grams,
        idf=idf,
        gram_gains=gain_weights[cut:],
        gram_scores=score_weights[cut:],
    )


def _logistic(columns: Numbers, good: Numbers) -> tuple[Numbers, float]:
    """A quality between 0 and 1 counts as that share of a good and the rest of a bad answer."""
    shares = np.concatenate([good, 1 - good])
    truths = np.concatenate([np.ones(len(good)), np.zeros(len(good))])
    present = shares > 0
    if len(set(truths[present])) < 2:
        odds = np.log((good.mean() + 1e-3) / (1 - good.mean() + 1e-3))
        return np.zeros(columns.shape[1]), float(odds)
    model = LogisticRegression(C=1 / _LOGISTIC_SHARE, max_iter=300)
    model.fit(
        np.vstack([columns, columns])[present], truths[present], sample_weight=shares[present]
    )
    return model.coef_[0], float(model.intercept_[0])


def _no_grams(count: int) -> tuple[Places, Numbers, Numbers]:
    return np.zeros(0, np.intp), np.zeros(0), np.zeros((count, 0))


def _log_counts(counts: Any) -> Any:
    logged = counts.astype(np.float64)
    logged.data = 1 + np.log(logged.data)
    return logged


def _chosen(sample: Sample, rows: Places) -> tuple[Places, Numbers, Numbers]:
    """The n-grams that move a ridge on n-grams alone the most, and their weighed columns.

    A weight counts by how much its n-gram varies: a rare word with a large weight moves little.
    """
    if sample.counts is None:
        return _no_grams(len(rows))
    counts = sample.counts[rows]
    prompts = np.asarray((counts > 0).sum(0)).ravel()
    kept = np.flatnonzero(prompts >= _FEWEST_PROMPTS)
    if not len(kept):
        return _no_grams(len(rows))
    idf = np.log((1 + len(rows)) / (1 + prompts[kept])) + 1
    weighed = _log_counts(counts[:, kept]) @ sp.diags(idf)
    normal = normalize(weighed)
    gains = sample.gains[rows]
    ridge = Ridge(alpha=_SELECTION_PENALTY, solver="sparse_cg", tol=1e-4)
    ridge.fit(normal, gains - gains.mean())
    means = np.asarray(normal.mean(0)).ravel()
    squares = np.asarray(normal.multiply(normal).mean(0)).ravel()
    moves = np.abs(ridge.coef_) * np.sqrt(np.maximum(squares - means**2, 0))
    best = np.sort(np.argsort(-moves, kind="stable")[:MAX_NGRAMS])
    return kept[best], idf[best], normalize(weighed[:, best]).toarray()
