"""The first classifier as published data: weights set by hand from what each feature means.

No weight was fitted to prompts; the evidence is in docs/policy.md. It claims nothing for a
particular pair of backends: a trained artefact of the same shape takes its place.
"""

from __future__ import annotations

from typing import Any

from routing.engine.classifier import load

# name: (gain in quality points at the feature's most, log-odds that the small model is enough)
_WEIGHTS: dict[str, tuple[float, float]] = {
    "length": (0.05, -0.7),
    "few_words": (-0.03, 0.5),
    "sentences": (0.04, -0.4),
    "long_sentences": (0.03, -0.2),
    "long_words": (0.01, 0.3),
    "several_questions": (0.02, -0.2),
    "asks_which": (0.02, -0.1),
    "asks_quantity": (0.01, -0.1),
    "options": (0.05, -0.5),
    "superlatives": (0.02, 0.0),
    "statement_options": (0.05, -0.6),
    "numbers": (0.05, -1.0),
    "money": (0.0, -0.2),
    "formula": (0.01, -0.8),
    "arithmetic": (0.06, -0.5),
    "quantities": (0.03, -0.2),
    "code": (0.04, -0.5),
    "symbols": (0.01, -0.4),
    "negation": (0.02, -0.3),
    "conditions": (0.03, -0.4),
    "connectives": (0.03, -0.2),
    "narrative": (0.02, -0.2),
    "names": (0.02, 0.0),
    "quotes": (0.02, -0.1),
    "service_words": (-0.01, 0.3),
    "compose": (0.03, -0.4),
    "explain": (0.03, -0.4),
    "legal": (0.06, -0.7),
    "medical": (0.05, -0.6),
    "finance": (0.01, -0.1),
    "account": (-0.02, 0.6),
    "technical": (0.02, -0.3),
    "math": (0.03, -0.6),
}

FIRST_ARTEFACT: dict[str, Any] = {
    "schema": "signalbox.classifier/1",
    "name": "first",
    "version": 1,
    "pair": {"small": "any", "large": "any"},
    "trained_on": "nothing; weights set by hand",
    "intercept": {"gain": 0.02, "score": 2.2},
    "features": [
        {"name": name, "gain": gain, "score": score} for name, (gain, score) in _WEIGHTS.items()
    ],
    "ngrams": {"longest": 1, "weights": {}},
    "unfamiliar": {
        "languages": ["en"],
        "most_words": 900,
        "least_common_share": 0.1,
        "most_beyond_ascii": 0.3,
    },
}

FIRST_CLASSIFIER = load(FIRST_ARTEFACT)
