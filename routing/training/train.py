"""Trains one classifier from an eval set: cross-validation, weights, calibration, limits, card.

Deterministic for a seed. `progress` is called between steps and may raise to cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from routing.engine import curve
from routing.engine.classifier import MAX_NGRAMS, SCHEMA
from routing.engine.curve import Outcome
from routing.engine.features import FEATURE_NAMES
from routing.training import calibration, familiar, heads, risk
from routing.training.card import model_card
from routing.training.evalsets import EvalSet, EvalSetError, shuffled
from routing.training.heads import Fitted
from routing.training.reference import reference_of
from routing.training.samples import (
    LONGEST_NGRAM,
    Numbers,
    Places,
    Sample,
    folds_of,
    sample_of,
)

FEWEST_ROWS = 60
# A challenger must win by more than the choice between two would win by chance.
_MARGIN = 0.002
_LEARNING_STEPS = (100, 250, 500, 1_000, 1_500, 3_000)
_LEARNING_DRAWS = 3

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`ngrams`: never, always, or only where cross-validation says that they help."""

    name: str
    version: int = 1
    owner: str = ""
    ngrams: str = "if_better"
    seed: int = 0
    resamples: int = 400
    learning_curve: bool = True
    progress: Progress = field(default=lambda step, percent: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Both are JSON. `out_of_fold` has one outcome for every prompt with words, in their order."""

    artefact: dict[str, Any]
    card: dict[str, Any]
    out_of_fold: tuple[Outcome, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Validated:
    gains: Numbers
    log_odds: Numbers
    with_ngrams: bool
    apgr: float


def train(evalset: EvalSet, options: Options) -> Trained:
    """Raises EvalSetError where the set cannot teach anything."""
    # One thread: matrices this small gain nothing from more, and sums keep their order.
    with threadpool_limits(1):
        return _train(evalset, options)


def _train(evalset: EvalSet, options: Options) -> Trained:
    options.progress("Reading the prompts", 2)
    sample = sample_of(evalset.rows, with_ngrams=options.ngrams != "never")
    _check(sample)
    validated = _validate(sample, options)
    options.progress("Calibrating", 60)
    scale = calibration.platt(validated.log_odds, sample.small)
    outcomes = outcomes_of(sample, validated.gains, scale(validated.log_odds))
    options.progress("Fitting all prompts", 65)
    everything = np.arange(len(sample))
    fitted = heads.fit(sample, everything, with_ngrams=validated.with_ngrams)
    artefact = artefact_of(evalset, sample, fitted, scale, options)
    artefact["reference"] = reference_of(
        sample,
        fitted.gains(sample, everything),
        calibration.probabilities(scale(fitted.log_odds(sample, everything))),
        artefact["unfamiliar"]["false_alarms"],
    )
    options.progress("Drawing intervals", 72)
    found = {
        "metrics": curve.metrics(outcomes),
        "intervals": curve.intervals(
            outcomes, group_draws(sample.groups, options.resamples, options.seed)
        ),
        "curve": _thinned(curve.pgr(curve.curve(outcomes)), curve.curve(outcomes)),
        "calibration": calibration.report(
            validated.log_odds, sample.small, sample.groups, options.seed
        ),
        "targets": risk.targets(validated.gains, sample.small, sample.large),
        "certified": risk.certified(validated.gains, sample.small),
        "learning_curve": _learning_curve(sample, validated.with_ngrams, options),
    }
    options.progress("Writing the card", 99)
    card = model_card(evalset, sample, artefact, options, found, folds=_fold_count(sample))
    return Trained(artefact=artefact, card=card, out_of_fold=tuple(outcomes), groups=sample.groups)


def _check(sample: Sample) -> None:
    complaints = []
    if len(sample) < FEWEST_ROWS:
        complaints.append(f"{len(sample)} prompts with words; training needs {FEWEST_ROWS}")
    elif len(set(sample.groups)) < FEWEST_ROWS // 2:
        complaints.append("the rows fall into too few groups to keep any apart")
    elif abs(float(sample.gains.mean())) < 1e-9 or not np.ptp(sample.gains):
        complaints.append("both models answer equally well; there is no gain to learn")
    if complaints:
        raise EvalSetError(complaints)


def _fold_count(sample: Sample) -> int:
    return 10 if len(sample) < 1_000 else 5


def _validate(sample: Sample, options: Options) -> _Validated:
    """Out-of-fold sums of both heads, with n-grams only as the options say."""
    kinds = {"never": (False,), "always": (True,), "if_better": (False, True)}[options.ngrams]
    tried = [
        _cross_validate(sample, kind, options, start=5 + 27 * place)
        for place, kind in enumerate(kinds)
    ]
    best = tried[0]
    for other in tried[1:]:
        if other.apgr > best.apgr + _MARGIN:
            best = other
    return best


def _cross_validate(
    sample: Sample, with_ngrams: bool, options: Options, *, start: int
) -> _Validated:
    gains, log_odds = np.zeros(len(sample)), np.zeros(len(sample))
    folds = _fold_count(sample)
    for number, (train_rows, test_rows) in enumerate(
        folds_of(sample.groups, folds, options.seed), start=1
    ):
        what = "features and n-grams" if with_ngrams else "features"
        options.progress(
            f"Cross-validating {what}: {number} of {folds}", start + 25 * number // folds
        )
        fitted = heads.fit(sample, train_rows, with_ngrams=with_ngrams)
        gains[test_rows] = fitted.gains(sample, test_rows)
        log_odds[test_rows] = fitted.log_odds(sample, test_rows)
    area = curve.apgr(outcomes_of(sample, gains, log_odds)) or 0.0
    return _Validated(gains=gains, log_odds=log_odds, with_ngrams=with_ngrams, apgr=area)


def outcomes_of(sample: Sample, gains: Numbers, log_odds: Numbers) -> list[Outcome]:
    fails = 1 - calibration.probabilities(log_odds)
    return [
        Outcome(float(gain), float(small), float(large), float(fail))
        for gain, small, large, fail in zip(gains, sample.small, sample.large, fails, strict=True)
    ]


def group_draws(groups: Sequence[str], count: int, seed: int) -> Iterator[list[int]]:
    """Bootstrap draws of whole groups: how often each row is drawn."""
    chance = np.random.default_rng(seed)
    numbers = np.unique(np.array(groups), return_inverse=True)[1]
    most = int(numbers.max()) + 1
    for _ in range(count):
        times = np.bincount(chance.integers(0, most, most), minlength=most)
        yield times[numbers].tolist()


def artefact_of(
    evalset: EvalSet, sample: Sample, fitted: Fitted, scale: calibration.Platt, options: Options
) -> dict[str, Any]:
    """The published JSON; Platt's scaling goes into the weights, so the sum stays a sum."""
    score_weights = scale.slope * fitted.score_weights
    gram_scores = scale.slope * fitted.gram_scores
    return {
        "schema": SCHEMA,
        "name": options.name,
        "version": options.version,
        "pair": evalset.pair,
        "trained_on": evalset.digest,
        "intercept": {
            "gain": _short(fitted.gain_at_zero),
            "score": _short(scale.slope * fitted.score_at_zero + scale.shift),
        },
        "features": [
            {"name": name, "gain": _short(gain), "score": _short(odds)}
            for name, gain, odds in zip(
                FEATURE_NAMES, fitted.gain_weights, score_weights, strict=True
            )
        ],
        "ngrams": {
            "longest": LONGEST_NGRAM if len(fitted.grams) else 1,
            "weights": {
                sample.grams[place]: [_short(idf), _short(gain), _short(odds)]
                for place, idf, gain, odds in zip(
                    fitted.grams[:MAX_NGRAMS],
                    fitted.idf,
                    fitted.gram_gains,
                    gram_scores,
                    strict=True,
                )
            },
        },
        "unfamiliar": familiar.flags(sample, options.seed),
    }


def _short(weight: float) -> float:
    return float(f"{weight:.6g}")


def _thinned(
    recovered: Sequence[curve.Point], quality: Sequence[curve.Point]
) -> list[dict[str, float]]:
    """At most 101 points of the curve; the ends stay."""
    step = max(1, -(-len(quality) // 100))
    places = sorted({*range(0, len(quality), step), len(quality) - 1})
    return [
        {
            "share": round(quality[place].share, 4),
            "quality": round(quality[place].quality, 5),
            "pgr": round(recovered[place].quality, 4) if recovered else 0.0,
        }
        for place in places
    ]


def _learning_curve(
    sample: Sample, with_ngrams: bool, options: Options
) -> list[dict[str, float | int]]:
    """APGR on a fifth that is kept apart, for growing numbers of labels."""
    if not options.learning_curve:
        return []
    train_rows, test_rows = next(folds_of(sample.groups, 5, options.seed + 3))
    sizes = [size for size in _LEARNING_STEPS if size < 0.9 * len(train_rows)]
    found: list[dict[str, float | int]] = []
    for place, size in enumerate([*sizes, len(train_rows)]):
        options.progress(f"Learning curve: {size:,} labels", 85 + 13 * place // (len(sizes) + 1))
        draws = range(_LEARNING_DRAWS if size < len(train_rows) else 1)
        areas = [
            _area_with(sample, _some(sample, train_rows, size, draw), test_rows, with_ngrams)
            for draw in draws
        ]
        found.append({"labels": size, "apgr": round(float(np.mean(areas)), 4)})
    return found


def _some(sample: Sample, rows: Places, size: int, draw: int) -> Places:
    if size >= len(rows):
        return rows
    order = {
        group: place
        for place, group in enumerate(shuffled({sample.groups[row] for row in rows}, 100 + draw))
    }
    ranked = sorted(rows.tolist(), key=lambda row: order[sample.groups[row]])
    return np.array(sorted(ranked[:size]))


def _area_with(sample: Sample, train_rows: Places, test_rows: Places, with_ngrams: bool) -> float:
    fitted = heads.fit(sample, train_rows, with_ngrams=with_ngrams, gain_only=True)
    gains = fitted.gains(sample, test_rows)
    outcomes = [
        Outcome(float(gain), float(sample.small[row]), float(sample.large[row]))
        for gain, row in zip(gains, test_rows, strict=True)
    ]
    return curve.apgr(outcomes) or 0.0
