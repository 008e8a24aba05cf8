"""Measures a published classifier on labelled prompts, by the engine that serves requests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from routing.engine import classifier, curve
from routing.engine.classifier import Scored
from routing.engine.curve import Interval, Outcome
from routing.training.evalsets import Row

METRICS: tuple[tuple[str, str], ...] = (
    ("apgr", "APGR: mean share of the quality gap that is recovered (a coin has .500)"),
    ("cpt50", "CPT(50 %): share of large calls that recovers half of the gap"),
    ("cpt80", "CPT(80 %): share of large calls that recovers four fifths of the gap"),
    ("cpt95", "CPT(95 %)"),
    ("pgr_at_20", "gap recovered with 20 % large calls"),
    ("pgr_at_40", "gap recovered with 40 % large calls"),
    ("apgr_of_deciles", "APGR by RouteLLM's ten thresholds"),
    ("auroc_small_fails", "AUROC of the gain for: the small model fails"),
    ("auroc_large_wins", "AUROC of the gain for: the large model is better"),
    ("auroc_fails_by_score", "AUROC of the score for: the small model fails"),
    ("ece_small_fails", "calibration error of the score (15 bins of equal mass)"),
    ("brier_small_fails", "Brier score of the score"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """`seen` rows were left out because the classifier was trained on their group."""

    rows: int
    seen: int
    without_words: int
    unfamiliar: int
    values: dict[str, float | None]
    intervals: dict[str, Interval]
    on_seen: bool


def score_all(scorer: classifier.Classifier, prompts: Iterable[str]) -> list[Scored | None]:
    return [classifier.score(scorer, prompt) for prompt in prompts]


def measure(
    scorer: classifier.Classifier,
    rows: Sequence[Row],
    *,
    trained_groups: Collection[str],
    resamples: int = 1_000,
    seed: int = 0,
) -> Measured:
    """Judge by the rows that were kept apart; by all of them only where none was."""
    # Only where metrics are drawn; see routing/services/classifiers.py.
    from routing.training.train import group_draws

    known = frozenset(trained_groups)
    apart = [row for row in rows if row.group not in known]
    judged = apart or list(rows)
    pairs = list(zip(judged, score_all(scorer, (row.prompt for row in judged)), strict=True))
    scored = [(row, found) for row, found in pairs if found is not None]
    outcomes = [
        Outcome(float(found.gain), row.small, row.large, float(1 - found.score))
        for row, found in scored
    ]
    draws = group_draws([row.group for row, _ in scored], resamples, seed) if outcomes else ()
    return Measured(
        rows=len(outcomes),
        seen=len(rows) - len(apart) if apart else 0,
        without_words=len(pairs) - len(scored),
        unfamiliar=sum(found.unfamiliar for _, found in scored),
        values=curve.metrics(outcomes) if outcomes else {},
        intervals=curve.intervals(outcomes, draws),
        on_seen=not apart,
    )
