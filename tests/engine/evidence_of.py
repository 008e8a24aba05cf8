"""Evidence of a candidate that passes everything; tests change one thing at a time."""

from __future__ import annotations

import copy
from typing import Any

GOOD: dict[str, Any] = {
    "schema": "signalbox.evidence/1",
    "route": "support",
    "candidate": {"version": "support@2", "digest": "sha256:b"},
    "incumbent": {"version": "support@1", "digest": "sha256:a"},
    "seed": "s1",
    "terms": {},
    "window": {"since": "2026-11-01T00:00:00Z", "until": "2026-11-15T00:00:00Z", "days": 14},
    "pairs": {"decided": 20_000, "compared": 3000, "sampled": 3100, "dropped": {"queue_full": 100}},
    "counts": {
        "quality": {"worse": 60, "better": 90, "pairs": 3000},
        "format": {"worse": 1, "better": 2, "pairs": 3000},
        "unsafe": {"worse": 0, "better": 0, "pairs": 3000},
        "slo": {"worse": 10, "better": 12, "pairs": 3000},
    },
    "segments": [
        {
            "by": "data_class",
            "name": "internal",
            "counts": {"worse": 60, "better": 90, "pairs": 2990},
        },
        {"by": "client", "name": "shop", "counts": {"worse": 0, "better": 0, "pairs": 10}},
    ],
    "cost": {"levels": {"-20": 1500, "0": 1500}, "scale_usd": 0.01, "limit": 0.01},
    "reviewers": {"projected_per_day": 20, "capacity_per_day": 60},
    "boundary": {"violations": [], "observed": 0},
    "eval_set": {"name": "mmlu@1", "counts": {"worse": 30, "better": 60, "pairs": 2000}},
    "backtest": {"days": 14, "decisions": 20_000, "guardrails": 0, "stale": ""},
    "waivers": [],
}


def evidence(**changed: Any) -> dict[str, Any]:
    return {**copy.deepcopy(GOOD), **changed}


def counts(**changed: dict[str, int]) -> dict[str, Any]:
    return {**copy.deepcopy(GOOD["counts"]), **changed}
