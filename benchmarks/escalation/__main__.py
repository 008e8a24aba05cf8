"""Measures the two signals that escalate after an answer: docs/escalation.md.

python -m benchmarks.escalation [--data DIR] [--write docs/escalation.md] [--quick]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks.escalation import agreement, logprobs
from benchmarks.escalation.questions import capitals, sums

_DATA = Path(os.environ.get("SIGNALBOX_DATA_DIR", Path(__file__).parents[3] / "shared" / "data"))
_COMMON = (1.0, 0.35, 0.0)
_PRICES = (0.01, 0.05, 0.1, 0.2)
_HEAD = """# Escalating after an answer

Made by `python -m benchmarks.escalation --write docs/escalation.md`. Where a request cannot be told
from its words, the small model's own answer tells more. Two signals, each measured, each with its
price. They are chosen per tier in a policy's `escalation` ([policy.md](policy.md)).

## Agreement of a second small model

Both small models are asked at the same time; where they say the same, the answer is served, else
the larger model is asked. Stored outcomes of real models say who was right, not what was said, so
the figures are given for three cases: two wrong answers are always the same (worst), the same in
35 % of cases, never the same (best). 35 % is an assumption: the models' own answers to MMLU-Pro,
measured apart, gave .631, which lies there. A coin has .500.

| task | wrong together | agreed | APGR | 95 % interval | larger calls for 80 % of the gap |
|---|---|---|---|---|---|
"""
_PRICE_HEAD = """
What it costs: two small calls for every request, and the escalations. As a share of always asking
the larger model, for 80 % of the gap (35 % wrong together), by the price of a small call over a
larger one:

| task | """
_LOGPROBS = """
It pays while a small call costs at most about a tenth of a larger one, and it waits for the slower
of the two small answers.

## Log-probabilities of the answer

The demo's own SLM (SmolLM2-135M-Instruct, 135 million parameters, greedy) on questions whose
answers are known: capitals, and sums of two numbers to 60. `token_logprob_q10` is the probability
below which a tenth of the answer's tokens lie, `token_logprob_mean` their geometric mean. The
larger model is taken as always right here, so the last two columns are the best that can be had. It
costs no call: the backend reports the numbers with the answer.

| questions | signal | right alone | AUROC of the signal | APGR | larger calls for 80 % of the gap |
|---|---|---|---|---|---|
"""
_FOOT = """
Read it with care: short factual answers are where this signal is at its best, and a model that is
sure and wrong passes. Calibrate it per backend and route before a threshold means a probability;
until then the product says "not calibrated" beside it.
"""


def _percent(share: float | None) -> str:
    return "never reached" if share is None else f"{100 * share:.0f} %"


def _agreement(data: Path) -> str:
    lines, prices = [], []
    for trio in agreement.TRIOS:
        rows = agreement.read(data / "evalsets" / trio.file, trio)
        for common in _COMMON:
            found = agreement.measure(rows, common)
            lines.append(
                f"| {trio.name} ({found.rows:,} rows) | {common:.0%} | {_percent(found.agreed)} "
                f"| {found.apgr:.3f} | {found.low:.3f} to {found.high:.3f} "
                f"| {_percent(found.cpt80)} |"
            )
            if common == _COMMON[1] and found.cpt80 is not None:
                shares = (agreement.cost_share(found.cpt80, price) for price in _PRICES)
                prices.append(f"| {trio.name} | " + " | ".join(map(_percent, shares)) + " |")
    head = _PRICE_HEAD + " | ".join(f"{price:.2f}" for price in _PRICES) + " |\n"
    rule = "|---|" + "---|" * len(_PRICES) + "\n"
    return "\n".join(lines) + "\n" + head + rule + "\n".join(prices) + "\n"


def _logprobs(*, is_quick: bool) -> str:
    tasks = {"capitals": capitals(), "sums": sums(60, seed=3)}
    lines = []
    with logprobs.small_model() as client:
        for name, questions in tasks.items():
            chosen = questions[:20] if is_quick else questions
            asked = [logprobs.ask(client, question) for question in chosen]
            for signal in ("q10", "mean"):
                found = logprobs.measure(asked, signal)
                auroc = "none" if found.auroc is None else f"{found.auroc:.3f}"
                apgr = "none" if found.apgr is None else f"{found.apgr:.3f}"
                lines.append(
                    f"| {found.rows} {name} | `token_logprob_{signal}` | {_percent(found.right)} "
                    f"| {auroc} | {apgr} | {_percent(found.cpt80)} |"
                )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=_DATA)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--quick", action="store_true", help="20 questions of each kind")
    chosen = parser.parse_args()
    report = _HEAD + _agreement(chosen.data) + _LOGPROBS + _logprobs(is_quick=chosen.quick) + _FOOT
    sys.stdout.write(report)
    if chosen.write:
        chosen.write.write_text(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
