"""Scores a request by an additive model that people can read: every part of the sum is named.

Two heads share the features: `gain`, the quality points that the larger model adds, and `score`,
the probability that the small model's answer is good enough. The artefact is data; see docs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from operator import itemgetter, mul
from typing import Any, NamedTuple

from routing.engine import canonical
from routing.engine.features import FEATURE_NAMES, FEATURE_WORDS, features_of
from routing.engine.language import language_of
from routing.engine.lexicons import STOP_WORDS
from routing.engine.signals import MAX_CLASSIFIED, RequestText, read_request, words_of
from routing.engine.topics import topic_of
from routing.engine.types import SignalValue

SCHEMA = "signalbox.classifier/1"
_FEWEST_FOR_SHARE = 8
MAX_NGRAMS = 1_000


class ArtefactError(ValueError):
    """The artefact is not a classifier of this schema."""


class Ngram(NamedTuple):
    idf: float
    gain: float
    score: float
    name: str
    words: str


class Shape(NamedTuple):
    """How the features of known requests vary together: a row of whitening for every feature.

    The squared length of `rows` times the features less `offsets` is their Mahalanobis distance.
    `pick` takes the features that count, in the order of the rows.
    """

    pick: Callable[[Sequence[float]], tuple[float, ...]]
    rows: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]
    most: float

    def distance(self, values: Sequence[float]) -> float:
        total, picked = 0.0, self.pick(values)
        for row, offset in zip(self.rows, self.offsets, strict=True):
            part = sum(map(mul, row, picked)) - offset
            total += part * part
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """An artefact made ready for scoring; weights are in the order of the features."""

    name: str
    version: int
    digest: str
    pair: Mapping[str, str]
    gain_at_zero: float
    score_at_zero: float
    # (place, name, words, gain, score) of the features that weigh anything
    weighing: tuple[tuple[int, str, str, float, float], ...]
    longest_ngram: int
    ngrams: Mapping[str, Ngram]
    languages: frozenset[str]
    common_words: frozenset[str]
    most_words: int
    least_common_share: float
    most_beyond_ascii: float
    known_words: frozenset[str]
    least_known_share: float
    shape: Shape | None
    topics: frozenset[str]

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"


class Contribution(NamedTuple):
    """One named part of the sums, in millionths: quality points of `gain`, log-odds of `score`."""

    name: str
    words: str
    gain_micro: int
    score_micro: int

    @property
    def gain(self) -> Decimal:
        return Decimal(self.gain_micro).scaleb(-6)

    @property
    def score(self) -> Decimal:
        return Decimal(self.score_micro).scaleb(-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Both heads. The gains of `contributions` sum exactly to `gain`, their scores to `log_odds`.

    `score` is the probability of `log_odds`, rounded to four places.
    """

    gain: Decimal
    score: Decimal
    log_odds: Decimal
    unfamiliar: bool
    why_unfamiliar: str
    # (name, words, millionths of the gain, millionths of the log-odds)
    parts: tuple[tuple[str, str, int, int], ...]

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """The parts with their names; made only for those who ask."""
        return tuple(map(Contribution._make, self.parts))

    def as_signals(self) -> dict[str, SignalValue]:
        return {"gain": self.gain, "score": self.score, "unfamiliar": self.unfamiliar}

    def top_contributions(self, most: int = 5) -> tuple[tuple[str, str], ...]:
        """The largest parts of the gain in words, with their signed quality points."""
        # Largest first and then by name, without building a part for each.
        ranked = sorted([(-abs(micro), name, words, micro) for name, words, micro, _ in self.parts])
        return tuple(
            (words, f"{Decimal(micro).scaleb(-6):+.3f}")
            for _, _, words, micro in ranked[:most]
            if micro
        )


def load(artefact: Mapping[str, Any]) -> Classifier:
    """Check an artefact and make it ready. Raises ArtefactError."""
    try:
        return _load(artefact)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ArtefactError(f"not a classifier: {error}") from error


def _load(artefact: Mapping[str, Any]) -> Classifier:
    if artefact["schema"] != SCHEMA:
        raise ArtefactError(f"schema must be {SCHEMA!r}")
    weights = {item["name"]: (item["gain"], item["score"]) for item in artefact["features"]}
    unknown = weights.keys() - set(FEATURE_NAMES)
    if unknown:
        raise ArtefactError(f"no such feature: {', '.join(sorted(unknown))}")
    ngrams = artefact["ngrams"]["weights"]
    if len(ngrams) > MAX_NGRAMS:
        raise ArtefactError(f"at most {MAX_NGRAMS} n-grams")
    flags = artefact["unfamiliar"]
    pairs = [
        (_finite(gain), _finite(odds))
        for gain, odds in (weights.get(name, (0, 0)) for name in FEATURE_NAMES)
    ]
    return Classifier(
        name=str(artefact["name"]),
        version=int(artefact["version"]),
        digest=canonical.digest(dict(artefact)),
        pair=dict(artefact["pair"]),
        gain_at_zero=_finite(artefact["intercept"]["gain"]),
        score_at_zero=_finite(artefact["intercept"]["score"]),
        weighing=tuple(
            (place, name, FEATURE_WORDS[name], gain, odds)
            for place, (name, (gain, odds)) in enumerate(zip(FEATURE_NAMES, pairs, strict=True))
            if gain or odds
        ),
        longest_ngram=int(artefact["ngrams"]["longest"]),
        ngrams={
            gram: Ngram(
                _finite(idf), _finite(gain), _finite(score), f"“{gram}”", f"the words “{gram}”"
            )
            for gram, (idf, gain, score) in ngrams.items()
        },
        languages=frozenset(flags["languages"]),
        common_words=frozenset().union(*(STOP_WORDS[code] for code in flags["languages"])),
        most_words=int(flags["most_words"]),
        least_common_share=_finite(flags["least_common_share"]),
        most_beyond_ascii=_finite(flags["most_beyond_ascii"]),
        known_words=frozenset(flags.get("known_words", "").split()),
        least_known_share=_finite(flags.get("least_known_share", 0)),
        shape=_shape(flags["shape"]) if flags.get("shape") else None,
        topics=frozenset(flags.get("topics", ())),
    )


def _shape(given: Mapping[str, Any]) -> Shape:
    """Rows are triangular, in the order of the features that the artefact names."""
    places = [FEATURE_NAMES.index(name) for name in given["features"]]
    if len(places) < 2:
        raise ArtefactError("a shape has at least two features")
    means = [_finite(mean) for mean in given["means"]]
    rows = tuple(tuple(_finite(weight) for weight in row) for row in given["rows"])
    if not len(rows) == len(means) == len(places) or [len(row) for row in rows] != list(
        range(1, len(rows) + 1)
    ):
        raise ArtefactError("the shape is not triangular")
    offsets = tuple(sum(map(mul, row, means)) for row in rows)
    return Shape(itemgetter(*places), rows, offsets, _finite(given["most"]))


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ArtefactError("weights must be finite")
    return number


def score(
    classifier: Classifier,
    request: RequestText | Mapping[str, Any] | str,
    measured: Mapping[str, SignalValue] | None = None,
) -> Scored | None:
    """Score the last user turn; None where there is no text, because no signal is not easy.

    `measured` are the signals of `measure()`, which save looking for the language again.
    """
    text, words = reading(request)
    if not words:
        return None
    values = features_of(text, words)
    parts = [("base", "every request", classifier.gain_at_zero, classifier.score_at_zero)]
    parts += [
        (name, read_as, gain * value, odds * value)
        for place, name, read_as, gain, odds in classifier.weighing
        if (value := values[place])
    ]
    if classifier.ngrams:
        parts += _ngram_parts(classifier, words)
    why = _unfamiliar(classifier, text, words, values, measured)
    return _summed(parts, why)


def reading(request: RequestText | Mapping[str, Any] | str) -> tuple[str, Sequence[str]]:
    """The text that is weighed and its words: training and scoring read alike."""
    if isinstance(request, str):
        text = request[:MAX_CLASSIFIED]
        return text, words_of(text)
    if not isinstance(request, RequestText):
        request = read_request(request)
    return request.last_turn, request.words


def _summed(parts: Sequence[tuple[str, str, float, float]], why: str) -> Scored:
    exact = tuple(
        [
            (name, words, round(gain * 1_000_000), round(odds * 1_000_000))
            for name, words, gain, odds in parts
        ]
    )
    gain = Decimal(sum([part[2] for part in exact])).scaleb(-6)
    log_odds = Decimal(sum([part[3] for part in exact])).scaleb(-6)
    probability = 1 / (1 + math.exp(-max(-30.0, min(30.0, float(log_odds)))))
    return Scored(
        gain=max(Decimal(-1), min(Decimal(1), gain)),
        score=Decimal(round(probability * 10_000)).scaleb(-4),
        log_odds=log_odds,
        unfamiliar=bool(why),
        why_unfamiliar=why,
        parts=exact,
    )


def grams_of(words: Sequence[str], longest: int) -> Iterator[str]:
    """Every run of up to `longest` words."""
    runs = (
        map(" ".join, zip(*(words[start:] for start in range(size)), strict=False))
        for size in range(2, longest + 1)
    )
    return chain(words, *runs)


def _ngram_parts(
    classifier: Classifier, words: Sequence[str]
) -> list[tuple[str, str, float, float]]:
    """Known word n-grams by (1 + log count) * idf, normalised over those that are known."""
    counts: dict[str, int] = {}
    known = classifier.ngrams
    for gram in filter(known.__contains__, grams_of(words, classifier.longest_ngram)):
        counts[gram] = counts.get(gram, 0) + 1
    weighed = [(known[gram], counts[gram]) for gram in sorted(counts)]
    values = [
        ngram.idf if count == 1 else (1 + math.log(count)) * ngram.idf for ngram, count in weighed
    ]
    norm = math.sqrt(sum(map(mul, values, values))) or 1.0
    return [
        (ngram.name, ngram.words, ngram.gain * value / norm, ngram.score * value / norm)
        for (ngram, _), value in zip(weighed, values, strict=True)
    ]


def _unfamiliar(
    classifier: Classifier,
    text: str,
    words: Sequence[str],
    values: Sequence[float],
    measured: Mapping[str, SignalValue] | None,
) -> str:
    """Why the classifier does not know requests like this one, or an empty text."""
    language = (measured or {}).get("language") or language_of(text, words)
    if language is not None and language not in classifier.languages:
        return f"language {language}"
    if len(words) > classifier.most_words:
        return "very long"
    if not text.isascii():
        beyond = sum(c > "\x7f" for c in text)
        if beyond > classifier.most_beyond_ascii * len(text):
            return "another script"
    if len(words) >= _FEWEST_FOR_SHARE and classifier.common_words:
        common = sum(map(classifier.common_words.__contains__, words))
        if common < classifier.least_common_share * len(words):
            return "few common words"
    if classifier.known_words:
        known = sum(map(classifier.known_words.__contains__, words))
        if known < classifier.least_known_share * len(words):
            return "many unknown words"
    if classifier.shape and classifier.shape.distance(values) > classifier.shape.most:
        return "unlike the requests it learned from"
    if classifier.topics:
        topic = (measured or {}).get("topic") or topic_of(text, words)
        if topic not in classifier.topics:
            return f"little evidence on the topic {topic}"
    return ""
