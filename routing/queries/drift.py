"""Whether requests of the last days are like those that a classifier was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from django.db import connection
from django.utils import timezone

from audit.ids import first_id
from routing.engine.drift import SHIFTED, STEADY, TOO_FEW, Quantity, compare, verdict_of
from routing.engine.types import WITHHELD, SignalValue
from routing.models import Classifier, PolicyVersion

DAYS = 7
MOST_REQUESTS = 2_000
NOT_KEPT = "not kept"
WORDS = {
    "gain": "Gain",
    "score": "Score",
    "unfamiliar": "Unfamiliar requests",
    "prompt_tokens": "Prompt tokens",
    "topic": "Topic",
    "language": "Language",
    "has_code": "Code in the request",
}
# The whole request is counted, with what its application adds; training saw one question each.
ASIDE = frozenset({"prompt_tokens"})
TONES = {STEADY: "good", SHIFTED: "warn"}
NEXT = {
    STEADY: "Nothing to do.",
    TOO_FEW: "It is judged as soon as there are 200 requests within 7 days.",
    NOT_KEPT: "This version kept no picture of its training prompts. Train a new version of the "
    "same set; it will.",
    SHIFTED: "The figures of this card may no longer hold. Label at least 500 requests of late "
    "with the quality of both models' answers and record a measurement on them; if the lower bound "
    "is at or below 0.500, train a new version. Until then tighten the threshold, or route by "
    "rules.",
}

_RECENT = """
    SELECT body FROM audit.event
    WHERE kind = 'decision.made' AND object_id = ANY(%(routes)s) AND id >= %(from)s
    ORDER BY id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    """One quantity in words. `share` is of unfamiliar requests and the like: then and now."""

    words: str
    verdict: str
    tone: str
    index: str
    requests: int
    aside: bool
    bins: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The verdict on all quantities that count, the number of requests, and what to do next."""

    verdict: str
    tone: str
    requests: int
    prompts: int
    routes: tuple[str, ...]
    quantities: tuple[Drifted, ...]
    what_next: str


def drift_of(found: Classifier, *, now: datetime | None = None) -> Drift:
    """Of decisions under active versions that name this classifier, at most the newest 2,000."""
    routes = tuple(
        PolicyVersion.objects.filter(
            state=PolicyVersion.State.ACTIVE, document__classifier=str(found)
        )
        .order_by("route__slug")
        .values_list("route__slug", flat=True)
    )
    signals = _recorded(str(found), routes, now or timezone.now()) if routes else []
    reference = found.artefact.get("reference")
    quantities = compare(reference, signals) if reference else ()
    verdict = (
        verdict_of([one for one in quantities if one.name not in ASIDE]) if reference else NOT_KEPT
    )
    return Drift(
        verdict=verdict,
        tone=TONES.get(verdict, "neutral"),
        requests=len(signals),
        prompts=int(reference["prompts"]) if reference else 0,
        routes=routes,
        quantities=tuple(map(_shown, quantities)),
        what_next=NEXT[verdict]
        if routes or verdict == NOT_KEPT
        else f"No active policy names it; name it as “classifier: {found}” to see its requests.",
    )


def _recorded(label: str, routes: Sequence[str], now: datetime) -> list[dict[str, SignalValue]]:
    """The signals of recent requests that this classifier scored."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RECENT,
            {
                "routes": list(routes),
                "from": first_id(now - timedelta(days=DAYS)),
                "limit": MOST_REQUESTS,
            },
        )
        traces = [
            orjson.loads(bytes(body))["details"]["decision"]["trace"]
            for (body,) in cursor.fetchall()
        ]
    return [dict(_typed(one["signals"])) for one in traces if one["classifier"] == label]


def _typed(signals: Mapping[str, Any]) -> Iterable[tuple[str, SignalValue]]:
    for name, value in signals.items():
        if name in ("gain", "score", "prompt_tokens") and isinstance(value, str):
            try:
                yield name, Decimal(value)
            except InvalidOperation:
                continue
        elif value != WITHHELD and not isinstance(value, list):
            yield name, value


def _shown(one: Quantity) -> Drifted:
    return Drifted(
        words=WORDS.get(one.name, one.name),
        verdict=one.verdict,
        tone=TONES.get(one.verdict, "neutral"),
        index="" if one.index is None else f"{one.index:.2f}",
        requests=one.requests,
        aside=one.name in ASIDE,
        bins=tuple((words, _percent(then), _percent(late)) for words, then, late in one.bins),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
