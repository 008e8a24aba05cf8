"""What the classifier screens show: the list, one card in words, its curve, and one score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from routing.engine import classifier as engine
from routing.engine import curve
from routing.engine.classifier import Scored
from routing.engine.evidence import Evidence
from routing.engine.wording import listed
from routing.models import Classifier, ClassifierProof, ClassifierTraining, PolicyVersion
from routing.services.enforcement import evidence_of, standing
from screens.charts import LineChart, Point, Series, line_chart
from screens.errors import NotFound

_STEPS = 20
_PARTS = 12
EXAMPLE = (
    "A customer paid 240.50 for three chairs and returned one after two weeks. If the shop keeps "
    "10 percent, how much does she get back?"
)
_METRICS = (
    ("apgr", "Quality gap recovered, mean over all shares (APGR)", "a coin has 0.500", False),
    ("cpt50", "Large calls for half of the gap (CPT 50)", "a coin needs 50 %", True),
    ("cpt80", "Large calls for four fifths of the gap (CPT 80)", "a coin needs 80 %", True),
    (
        "auroc_large_wins",
        "Tells where the large model is better (AUROC)",
        "a coin has 0.500",
        False,
    ),
    ("auroc_fails_by_score", "Tells where the small model fails (AUROC)", "", False),
    ("ece_small_fails", "Calibration error of the score", "0 is perfect", False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    words: str
    value: str
    interval: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    words: str
    gain: str
    odds: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One scored prompt; None for `scored` where it has no words."""

    prompt: str
    scored: Scored | None
    parts: Sequence[Part]
    rest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """One recorded measurement, and why it does not suffice; empty where it does."""

    proof: ClassifierProof
    apgr: str
    interval: str
    why_not: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPage:
    metrics: Sequence[Metric]
    curve: LineChart
    calibration: LineChart
    used_by: Sequence[PolicyVersion]
    proofs: Sequence[Proved]
    is_proved: bool
    versions: Sequence[Classifier]


def all_classifiers() -> QuerySet[Classifier]:
    return Classifier.objects.defer("artefact", "trained_groups").order_by("-created_at")


def open_trainings() -> QuerySet[ClassifierTraining]:
    return ClassifierTraining.objects.defer("evalset").select_related("classifier")[:8]


def classifier_of(name: str, version: int) -> Classifier:
    found = Classifier.objects.defer("trained_groups").filter(name=name, version=version).first()
    if found is None:
        raise NotFound(f"There is no classifier {name}@{version}.")
    return found


def training_of(training_id: Any) -> ClassifierTraining:
    found = (
        ClassifierTraining.objects.defer("evalset")
        .select_related("classifier")
        .filter(pk=training_id)
        .first()
    )
    if found is None:
        raise NotFound("There is no such training.")
    return found


def card_page(found: Classifier) -> CardPage:
    card = found.card
    return CardPage(
        metrics=[_metric(card["metrics"].get(name), *rest) for name, *rest in _METRICS],
        curve=_curve(card["curve"]),
        calibration=_calibration(card["calibration"]["bins"]),
        used_by=list(
            PolicyVersion.objects.filter(document__classifier=str(found))
            .select_related("route")
            .order_by("route__slug", "-number")[:20]
        ),
        proofs=[_proved(proof, card["rows"]) for proof in found.proofs.all()[:20]],
        is_proved=not _own(found).shortcomings(),
        versions=list(all_classifiers().filter(name=found.name).order_by("-version")[:20]),
    )


def _own(found: Classifier) -> Evidence:
    """What is known of it on the pair that it was trained for."""
    pair = found.card["pair"]
    names = (frozenset({pair[key].casefold()}) for key in ("small", "large"))
    known = standing(found)
    return known.on(*names) or known.evidence[-1]


def _proved(proof: ClassifierProof, trained_on: int) -> Proved:
    return Proved(
        proof=proof,
        apgr="none" if proof.apgr is None else f"{proof.apgr:.3f}",
        interval=f"{proof.low:.3f} to {proof.high:.3f}" if proof.low is not None else "",
        why_not=listed(evidence_of(proof, trained_on).shortcomings()),
    )


def _metric(found: Mapping[str, Any] | None, words: str, note: str, as_share: bool) -> Metric:
    def text(value: float | None) -> str:
        if value is None:
            return "none"
        return f"{value:.1%}".replace("%", " %") if as_share else f"{value:.3f}"

    given = found or {"value": None, "low": None, "high": None}
    has_interval = given["low"] is not None
    return Metric(
        words=words,
        value=text(given["value"]),
        interval=f"{text(given['low'])} to {text(given['high'])}" if has_interval else "",
        note=note,
    )


def _curve(points: Sequence[Mapping[str, float]]) -> LineChart:
    recovered = [curve.Point(point["share"], point["pgr"]) for point in points]
    shares = [step / _STEPS for step in range(_STEPS + 1)]
    ours = [
        Point(label=f"{share:.0%}", value=round(100 * curve.at_share(recovered, share), 1))
        for share in shares
    ]
    coin = [Point(label=f"{share:.0%}", value=round(100 * share, 1)) for share in shares]
    return line_chart(
        [
            Series(name="this classifier", points=tuple(ours)),
            Series(name="a coin", points=tuple(coin)),
        ],
        width=960,
        height=260,
        unit=" %",
    )


def _calibration(bins: Sequence[Mapping[str, float]]) -> LineChart:
    labels = [f"{100 * one['predicted']:.0f} %" for one in bins]
    said = [
        Point(label=label, value=round(100 * one["predicted"], 1))
        for label, one in zip(labels, bins, strict=True)
    ]
    seen = [
        Point(label=label, value=round(100 * one["observed"], 1))
        for label, one in zip(labels, bins, strict=True)
    ]
    return line_chart(
        [
            Series(name="was good enough", points=tuple(seen)),
            Series(name="predicted", points=tuple(said)),
        ],
        width=960,
        height=220,
        unit=" %",
    )


def tried(found: Classifier, prompt: str) -> Tried:
    """The score of one prompt and the largest of the parts that sum to it."""
    scored = engine.score(engine.load(found.artefact), prompt)
    if scored is None:
        return Tried(prompt=prompt, scored=None, parts=(), rest=0)
    ranked = sorted(scored.contributions, key=lambda part: (-abs(part.gain_micro), part.name))
    parts = [
        Part(words=part.words, gain=f"{100 * part.gain:+.2f}", odds=f"{part.score:+.3f}")
        for part in ranked[:_PARTS]
    ]
    return Tried(prompt=prompt, scored=scored, parts=parts, rest=max(0, len(ranked) - _PARTS))
