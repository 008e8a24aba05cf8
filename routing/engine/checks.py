"""The checks of a gate, one function each: counts in, a verdict with a sentence and figures out.

What is missing is inconclusive, never a pass. Which checks there are, `gate` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import ceil
from typing import Any

from routing.engine import sequential

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"
NAMES = {
    "window": "Days and pairs",
    "coverage": "Kept pairs",
    "quality": "Quality",
    "format": "Format",
    "unsafe": "Unsafe answers",
    "slo": "Time limit of the route",
    "cost": "Cost",
    "segments": "Worst segment",
    "reviewers": "Work for reviewers",
    "boundary": "Boundary proof",
    "eval_set": "Eval set",
    "backtest": "Backtest",
}
PAIRED = {
    "quality": ("quality_margin", "the answers are worse"),
    "format": ("format_margin", "the format is broken"),
    "unsafe": ("unsafe_margin", "an answer is unsafe"),
    "slo": ("slo_margin", "an answer is too late"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a route asks of a promotion. Margins are shares: 0.02 is two points."""

    alpha: float = 0.05
    min_days: int = 7
    min_pairs: int = 300
    max_dropped: float = 0.20
    quality_margin: float = 0.02
    format_margin: float = 0.005
    unsafe_margin: float = 0.005
    slo_margin: float = 0.02
    segment_pairs: int = 100
    cost_rise: float = 0.05
    capacity_share: float = 0.8
    eval_items: int = 200
    eval_margin: float = 0.02
    backtest_days: int = 14

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Terms:
        """Raises ValueError for a name or a number that is none of the terms."""
        known = {one.name: one.default for one in fields(cls)}
        if strange := given.keys() - known.keys():
            raise ValueError(f"{min(strange)} is no term of the gate")
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
                raise ValueError(f"{name} must be a number above 0")
            if isinstance(known[name], float) and value >= 1:
                raise ValueError(f"{name} is a share below 1")
            if isinstance(known[name], int) and not isinstance(value, int):
                raise ValueError(f"{name} is a whole number")
        return cls(**given)

    def as_json(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One named check. `more_pairs` is how many are still to be planned for, where that helps."""

    name: str
    verdict: str
    sentence: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    more_pairs: int | None = None
    more_days: int | None = None

    @property
    def title(self) -> str:
        return NAMES[self.name]

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "figures": dict(self.figures),
            "more_pairs": self.more_pairs,
            "more_days": self.more_days,
        }


def _round(value: float) -> float:
    return round(value, 6)


def _points(share: float) -> str:
    return f"{share * 100:g}"


def per_day_of(evidence: Mapping[str, Any]) -> float | None:
    days, changed = evidence["window"]["days"], evidence["pairs"]["compared"]
    return changed / days if days > 0 and changed > 0 else None


def _days_for(pairs: int, per_day: float | None) -> int | None:
    return ceil(pairs / per_day) if per_day else None


# the checks


def window(evidence: Mapping[str, Any], terms: Terms) -> Check:
    days, pairs = evidence["window"]["days"], evidence["pairs"]["compared"]
    figures = {
        "days": days,
        "min_days": terms.min_days,
        "pairs": pairs,
        "min_pairs": terms.min_pairs,
    }
    enough = days >= terms.min_days and pairs >= terms.min_pairs
    sentence = (
        f"{days:g} of at least {terms.min_days} days, "
        f"{pairs:,} of at least {terms.min_pairs:,} compared pairs whose decision changes."
    )
    missing = max(0, terms.min_pairs - pairs)
    waits = [ceil(max(0.0, terms.min_days - days))]
    if missing and (more := _days_for(missing, per_day_of(evidence))) is not None:
        waits.append(more)
    return Check(
        name="window",
        verdict=PASS if enough else INCONCLUSIVE,
        sentence=sentence,
        figures=figures,
        more_pairs=missing or None,
        more_days=max(waits) or None,
    )


def coverage(evidence: Mapping[str, Any], terms: Terms) -> Check:
    dropped, sampled = sum(evidence["pairs"]["dropped"].values()), evidence["pairs"]["sampled"]
    if not sampled:
        return Check(
            name="coverage", verdict=INCONCLUSIVE, sentence="No changed request was sampled yet."
        )
    share = dropped / sampled
    reasons = evidence["pairs"]["dropped"]
    most = max(reasons, key=lambda name: (reasons[name], name)) if dropped else ""
    sentence = f"{dropped:,} of {sampled:,} sampled pairs were dropped"
    sentence += f", most because of {most.replace('_', ' ')}." if most else "."
    if share > terms.max_dropped:
        sentence += " What is left speaks for calm hours only."
    return Check(
        name="coverage",
        verdict=PASS if share <= terms.max_dropped else INCONCLUSIVE,
        sentence=sentence,
        figures={"dropped": dropped, "sampled": sampled, "share": _round(share)},
    )


def paired(
    name: str, counts: Mapping[str, int] | None, terms: Terms, per_day: float | None
) -> Check:
    field_name, what = PAIRED[name]
    margin: float = getattr(terms, field_name)
    if not counts or not counts["pairs"]:
        return Check(name=name, verdict=INCONCLUSIVE, sentence="Nothing was compared for this yet.")
    verdict, figures = paired_verdict(counts, margin, terms.alpha)
    worse, better, pairs = counts["worse"], counts["better"], counts["pairs"]
    seen = f"worse {worse:,}, better {better:,} of {pairs:,} pairs"
    limit = f"{_points(margin)} points"
    told = {
        PASS: f"Not more often than by {limit} {what}: {seen}.",
        FAIL: f"By more than {limit} more often {what}: {seen}.",
        INCONCLUSIVE: f"Not enough pairs to tell whether by {limit} more often {what}: {seen}.",
    }[verdict]
    if name == "unsafe" and not worse:
        bound = sequential.zero_says_at_most(pairs)
        told += f" None in {pairs:,} only says at most {bound * 100:.2g} %."
    more = None
    if verdict == INCONCLUSIVE:
        more = max(1, sequential.pairs_needed((worse + better) / pairs, margin) - pairs)
    return Check(
        name=name,
        verdict=verdict,
        sentence=told,
        figures=figures,
        more_pairs=more,
        more_days=_days_for(more, per_day) if more else None,
    )


def paired_verdict(
    counts: Mapping[str, int], margin: float, alpha: float
) -> tuple[str, dict[str, Any]]:
    """The verdict on three counts and a margin, with the evidence on each side."""
    worse, better, pairs = counts["worse"], counts["better"], counts["pairs"]
    good = sequential.log_e_noninferior(worse, better, pairs, margin)
    bad = sequential.log_e_inferior(worse, better, pairs, margin)
    verdict = INCONCLUSIVE
    if sequential.reaches(bad, alpha):
        verdict = FAIL
    elif sequential.reaches(good, alpha):
        verdict = PASS
    return verdict, {
        "worse": worse,
        "better": better,
        "pairs": pairs,
        "margin": margin,
        "difference": _round((better - worse) / pairs),
        "log_e_not_worse": _round(good),
        "log_e_worse": _round(bad),
        "log_e_better": _round(sequential.log_e_direction(better, worse)),
        # A classical figure: it holds for a number of pairs that was fixed beforehand.
        "fixed_n_p": _round(sequential.exact_mcnemar(worse, better)),
    }


def cost(cost: Mapping[str, Any] | None, terms: Terms, per_day: float | None) -> Check:
    if not cost or not cost["levels"]:
        return Check(
            name="cost",
            verdict=INCONCLUSIVE,
            sentence="No pair has the cost of both sides, or no cost is known from before the run.",
        )
    levels = {int(level): int(n) for level, n in cost["levels"].items()}
    limit: float = cost["limit"]
    count = sum(levels.values())
    good = sequential.log_e_below(levels, limit)
    # A level is rounded up: one below it, the difference cannot be overstated.
    bad = sequential.log_e_below({1 - level: n for level, n in levels.items()}, -limit)
    mean = sequential.mean_level(levels) or 0.0
    verdict = INCONCLUSIVE
    if sequential.reaches(bad, terms.alpha):
        verdict = FAIL
    elif sequential.reaches(good, terms.alpha):
        verdict = PASS
    change = f"{mean * cost['scale_usd'] * 1000:+.4f}".replace("-", "−")
    allowed = f"{terms.cost_rise * 100:g} % above the cost before the run"
    told = {
        PASS: f"Stays below {allowed}",
        FAIL: f"Costs more than {allowed}",
        INCONCLUSIVE: f"Not enough pairs to tell whether it stays below {allowed}",
    }[verdict]
    return Check(
        name="cost",
        verdict=verdict,
        sentence=f"{told}: {change} USD per 1,000 changed requests, {count:,} pairs.",
        figures={
            "pairs": count,
            "mean": _round(mean),
            "limit": limit,
            "log_e_below": _round(good),
            "log_e_above": _round(bad),
        },
    )


def segments(segments: Sequence[Mapping[str, Any]], terms: Terms) -> Check:
    """No segment with enough pairs may be worse, so that an average cannot hide harm."""
    large = [one for one in segments if one["counts"]["pairs"] >= terms.segment_pairs]
    if not large:
        return Check(
            name="segments",
            verdict=INCONCLUSIVE,
            sentence=f"No data class or client has {terms.segment_pairs} compared pairs yet.",
        )
    ranked = rank_segments(large)
    worst = ranked[0]
    for one in ranked:
        verdict, figures = paired_verdict(one["counts"], terms.quality_margin, terms.alpha)
        if verdict == FAIL:
            worst = one
            break
    verdict, figures = paired_verdict(worst["counts"], terms.quality_margin, terms.alpha)
    counts = worst["counts"]
    sentence = (
        f"{worst['by'].replace('_', ' ').capitalize()} {worst['name']}: worse {counts['worse']:,}, "
        f"better {counts['better']:,} of {counts['pairs']:,} pairs"
    )
    sentence += ", which is worse by more than the margin." if verdict == FAIL else "."
    return Check(
        name="segments",
        verdict=FAIL if verdict == FAIL else PASS,
        sentence=sentence,
        figures={"by": worst["by"], "name": worst["name"], "looked_at": len(large), **figures},
    )


def rank_segments(segments: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Worst first: by the mean difference, then by name."""

    def difference(one: Mapping[str, Any]) -> tuple[float, str, str]:
        counts = one["counts"]
        mean = (counts["better"] - counts["worse"]) / counts["pairs"] if counts["pairs"] else 0.0
        return mean, one["by"], one["name"]

    return sorted(segments, key=difference)


def reviewers(load: Mapping[str, Any] | None, terms: Terms) -> Check:
    if not load or load.get("projected_per_day") is None or not load.get("capacity_per_day"):
        return Check(
            name="reviewers",
            verdict=INCONCLUSIVE,
            sentence="The projected cases a day or the reviewers' capacity is not known; "
            "the route's settings say how many cases a day they can take.",
        )
    projected, capacity = load["projected_per_day"], load["capacity_per_day"]
    fits = projected <= capacity * terms.capacity_share
    return Check(
        name="reviewers",
        verdict=PASS if fits else FAIL,
        sentence=f"{projected:g} cases a day are projected; {terms.capacity_share * 100:g} % of "
        f"the reviewers' {capacity:g} a day may be used.",
        figures={"projected_per_day": projected, "capacity_per_day": capacity},
    )


def boundary(proof: Mapping[str, Any] | None) -> Check:
    if not proof:
        return Check(
            name="boundary", verdict=INCONCLUSIVE, sentence="The version was not analysed."
        )
    violations, seen = proof["violations"], proof.get("observed", 0)
    if violations or seen:
        sentence = violations[0] if violations else f"{seen:,} shadow decisions crossed it."
        return Check(
            name="boundary",
            verdict=FAIL,
            sentence=sentence,
            figures={"violations": len(violations), "observed": seen},
        )
    return Check(
        name="boundary",
        verdict=PASS,
        sentence="Proved for every hop: no request can reach a backend that may not have its data.",
        figures={"violations": 0, "observed": 0},
    )


def eval_set(run: Mapping[str, Any] | None, terms: Terms) -> Check:
    if not run:
        return Check(
            name="eval_set",
            verdict=INCONCLUSIVE,
            sentence="This version was not scored on an eval set; run one from its page.",
        )
    counts = run["counts"]
    if counts["pairs"] < terms.eval_items:
        return Check(
            name="eval_set",
            verdict=INCONCLUSIVE,
            sentence=f"{run['name']} has {counts['pairs']:,} items; "
            f"at least {terms.eval_items:,} are needed.",
            figures={"items": counts["pairs"]},
        )
    verdict, figures = paired_verdict(counts, terms.eval_margin, terms.alpha)
    told = {
        PASS: "not worse than the active version by",
        FAIL: "worse than the active version by more than",
        INCONCLUSIVE: "not enough items to tell it is not worse by",
    }[verdict]
    return Check(
        name="eval_set",
        verdict=verdict,
        sentence=f"On {run['name']}: {told} {_points(terms.eval_margin)} points "
        f"(worse {counts['worse']:,}, better {counts['better']:,} of {counts['pairs']:,}).",
        figures=figures,
    )


def backtest(run: Mapping[str, Any] | None, terms: Terms) -> Check:
    if not run:
        return Check(
            name="backtest",
            verdict=INCONCLUSIVE,
            sentence=f"There is no backtest of {terms.backtest_days} days of this version.",
        )
    figures = {name: run[name] for name in ("days", "decisions", "guardrails")}
    said = f"{run['decisions']:,} decisions of {run['days']:g} days"
    if run["stale"] or run["days"] < terms.backtest_days or not run["decisions"]:
        why = run["stale"] or f"{terms.backtest_days} days with decisions are needed."
        return Check(
            name="backtest", verdict=INCONCLUSIVE, sentence=f"{said}: {why}", figures=figures
        )
    crossed = run["guardrails"]
    return Check(
        name="backtest",
        verdict=FAIL if crossed else PASS,
        sentence=f"{said}: {crossed:,} would cross a guardrail."
        if crossed
        else f"{said}: none would cross a guardrail.",
        figures=figures,
    )
