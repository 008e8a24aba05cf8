"""Labelled prompts as numbers: the engine's own features and n-grams, so that scoring agrees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.feature_extraction.text import CountVectorizer

from routing.engine.classifier import grams_of, reading
from routing.engine.features import FEATURE_NAMES, features_of
from routing.engine.language import language_of
from routing.engine.topics import topic_of
from routing.training.evalsets import Row, shuffled

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
LONGEST_NGRAM = 2
_FEWEST_PROMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Prompts that have words, in the order of their eval set."""

    texts: tuple[str, ...]
    words: tuple[Sequence[str], ...]
    groups: tuple[str, ...]
    topics: tuple[str, ...]
    languages: tuple[str | None, ...]
    features: Numbers
    small: Numbers
    large: Numbers
    counts: sp.csr_matrix | None
    grams: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def gains(self) -> Numbers:
        return self.large - self.small


def sample_of(rows: Sequence[Row], *, with_ngrams: bool) -> Sample:
    kept = [(row, *reading(row.prompt)) for row in rows]
    kept = [item for item in kept if item[2]]
    counts, grams = _counts([words for _, _, words in kept]) if with_ngrams else (None, ())
    return Sample(
        texts=tuple(text for _, text, _ in kept),
        words=tuple(words for _, _, words in kept),
        groups=tuple(row.group for row, _, _ in kept),
        topics=tuple(topic_of(text, words) or "other" for _, text, words in kept),
        languages=tuple(language_of(text, words) for _, text, words in kept),
        features=np.array([features_of(text, words) for _, text, words in kept]).reshape(
            -1, len(FEATURE_NAMES)
        ),
        small=np.array([row.small for row, _, _ in kept]),
        large=np.array([row.large for row, _, _ in kept]),
        counts=counts,
        grams=grams,
    )


def _counts(words: Sequence[Sequence[str]]) -> tuple[Any, tuple[str, ...]]:
    counter = CountVectorizer(
        analyzer=lambda listed: grams_of(listed, LONGEST_NGRAM), min_df=_FEWEST_PROMPTS
    )
    try:
        counts = counter.fit_transform(words)
    except ValueError:  # no n-gram occurs in three prompts
        return None, ()
    return counts.tocsr(), tuple(str(gram) for gram in counter.get_feature_names_out())


def folds_of(groups: Sequence[str], count: int, seed: int) -> Iterator[tuple[Places, Places]]:
    """(training rows, test rows) of each fold; the rows of one group stay together."""
    number = {group: place % count for place, group in enumerate(shuffled(set(groups), seed))}
    fold = np.array([number[group] for group in groups])
    for part in range(count):
        yield np.flatnonzero(fold != part), np.flatnonzero(fold == part)
