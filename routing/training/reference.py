"""What the training prompts were like, small enough for the artefact: drift is told by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from routing.engine.signals import has_code, read_request, token_estimate
from routing.training.samples import Numbers, Sample

_BINS = 10
_MOST_LABELS = 20


def reference_of(
    sample: Sample, gains: Numbers, scores: Numbers, unfamiliar: float
) -> dict[str, Any]:
    """`gains` and `scores` are of the published weights, as they will be of requests.

    Sums out of fold differ from fold to fold by more than prompts do where there are few. How many
    prompts are unfamiliar is counted out of fold: all words of learned prompts are known.
    """
    tokens = np.array([token_estimate(read_request(_asked(text))) for text in sample.texts])
    return {
        "prompts": len(sample),
        "numbers": {
            "gain": _binned(gains.clip(-1, 1), 0.001),
            # As it is served: to four places.
            "score": _binned(scores.round(4), 0.001),
            "prompt_tokens": _binned(tokens.astype(float), 1),
        },
        "labels": {
            "unfamiliar": {"false": _short(1 - unfamiliar), "true": _short(unfamiliar)},
            "topic": _shares(sample.topics),
            "language": _shares(language or "none" for language in sample.languages),
            "has_code": _shares(str(has_code(text)).lower() for text in sample.texts),
        },
    }


def _asked(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def _binned(values: Numbers, step: float) -> dict[str, list[float]]:
    """Deciles as edges, and the share of values up to each; equal ones are one edge.

    Edges lie between two steps, so that what serving rounds differently stays on its side.
    """
    quantiles = np.quantile(values, np.arange(1, _BINS) / _BINS)
    edges = sorted({_short((round(float(edge) / step) + 0.5) * step) for edge in quantiles})
    places = np.searchsorted(edges, values, side="left")
    counts = np.bincount(places, minlength=len(edges) + 1)
    return {"edges": edges, "shares": [_short(count / len(values)) for count in counts.tolist()]}


def _shares(labels: Iterable[str]) -> dict[str, float]:
    counted = Counter(labels)
    total = counted.total()
    return {
        label: _short(count / total)
        for label, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[
            :_MOST_LABELS
        ]
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")
