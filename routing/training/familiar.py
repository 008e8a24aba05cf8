"""Learns when a request is unlike those that were labelled, at a chosen rate of false alarms.

Two measures do most of the work: the share of known words sees other languages, the Mahalanobis
distance of the features sees program text. Their limits are set together on groups kept apart.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from routing.engine.features import FEATURE_NAMES
from routing.engine.lexicons import STOP_WORDS
from routing.training.samples import Numbers, Places, Sample, folds_of

FALSE_ALARMS = 0.05
# How a text is built. Which domain it speaks of is left to the known words: twice the features
# would cost the live router twice the time and flag no more.
_BUILT = (
    "length", "few_words", "long_sentences", "long_words", "distinct_words", "capitals",
    "punctuation", "commas", "beyond_ascii", "ends_with_question", "starts_with_question",
    "options", "numbers", "decimals", "large_numbers", "number_words", "money", "formula", "code",
    "symbols", "names", "quotes", "first_person", "compose",
)  # fmt: skip
_PLACES = [FEATURE_NAMES.index(name) for name in _BUILT]
_AIM = 0.04  # below the promise, because the limits are estimates too
_MOST_WORDS, _FEWEST_PROMPTS = 8_000, 2
_SPREAD = 0.03  # of a feature that never varied: less would flag everything a little new
_LANGUAGE_SHARE, _TOPIC_SHARE, _LEAST_EVIDENCE = 0.02, 0.004, 10
_LEAST_COMMON, _LONGER, _BEYOND_ASCII = 0.02, 1.5, 0.3


def flags(sample: Sample, seed: int) -> dict[str, Any]:
    """The artefact's `unfamiliar` part."""
    everything = np.arange(len(sample))
    built = sample.features[:, _PLACES]
    share, distance = np.ones(len(sample)), np.zeros(len(sample))
    for train, test in folds_of(sample.groups, 5, seed + 2):
        share[test] = _known_share(sample, test, _known_words(sample, train))
        means, rows = _shape(built[train])
        distance[test] = _distances(built[test], means, rows)
    languages = _common(sample.languages, _LANGUAGE_SHARE)
    topics = _common(sample.topics, _TOPIC_SHARE, _LEAST_EVIDENCE)
    already = np.array(
        [
            (language is not None and language not in languages) or topic not in topics
            for language, topic in zip(sample.languages, sample.topics, strict=True)
        ]
    )
    least_share, most_distance = _limits(share, distance, already)
    means, rows = _shape(built)
    alarms = already | (share < least_share) | (distance > most_distance)
    return {
        "languages": languages,
        "most_words": max(100, int(_LONGER * max(map(len, sample.words)))),
        "least_common_share": _LEAST_COMMON if set(languages) & set(STOP_WORDS) else 0,
        "most_beyond_ascii": _BEYOND_ASCII,
        "known_words": " ".join(sorted(_known_words(sample, everything))),
        "least_known_share": round(least_share, 6),
        "shape": {
            "features": list(_BUILT),
            "means": [round(float(mean), 5) for mean in means],
            "rows": [[_short(weight) for weight in row[: at + 1]] for at, row in enumerate(rows)],
            "most": round(most_distance, 3),
        },
        "topics": topics,
        "false_alarms_aimed_at": FALSE_ALARMS,
        "false_alarms": round(float(alarms.mean()), 5),
    }


def _short(weight: float) -> float:
    return float(f"{weight:.5g}")


def _common(labels: tuple[Any, ...], share: float, least: int = 1) -> list[str]:
    needed = max(share * len(labels), min(least, 0.05 * len(labels)))
    counted = Counter(label for label in labels if label is not None)
    found = sorted(label for label, count in counted.items() if count >= needed)
    return [label for label in found if label in STOP_WORDS] if least == 1 else found


def _known_words(sample: Sample, rows: Places) -> frozenset[str]:
    prompts = Counter(word for row in rows for word in set(sample.words[row]))
    ranked = sorted(prompts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_WORDS]
    return frozenset(word for word, count in ranked if count >= _FEWEST_PROMPTS)


def _known_share(sample: Sample, rows: Places, known: frozenset[str]) -> Numbers:
    return np.array(
        [sum(map(known.__contains__, words)) / len(words) for words in map(_at(sample), rows)]
    )


def _at(sample: Sample) -> Any:
    return sample.words.__getitem__


def _shape(features: Numbers) -> tuple[Numbers, Numbers]:
    means = features.mean(0)
    covariance = np.cov(features, rowvar=False) + _SPREAD**2 * np.eye(features.shape[1])
    rows: Numbers = np.linalg.inv(np.linalg.cholesky(covariance))
    return means, rows


def _distances(features: Numbers, means: Numbers, rows: Numbers) -> Numbers:
    squares: Numbers = (((features - means) @ rows.T) ** 2).sum(1)
    return squares


def _limits(
    share: Numbers, distance: Numbers, already: np.ndarray[Any, Any]
) -> tuple[float, float]:
    """The tightest limits, equally tight in both measures, within the false alarms aimed at."""
    loose, tight = 0.0, _AIM
    for _ in range(20):
        tail = (loose + tight) / 2
        alarms = (
            already
            | (share < np.quantile(share, tail))
            | (distance > np.quantile(distance, 1 - tail))
        ).mean()
        loose, tight = (tail, tight) if alarms <= _AIM else (loose, tail)
    return float(np.quantile(share, loose)), float(np.quantile(distance, 1 - loose))
