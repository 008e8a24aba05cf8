"""Classifiers from the command line: train one, score prompts with it, measure it.

Ends with 0 when it is done and 2 when what was asked cannot be done.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audit.actors import SYSTEM
from routing.engine import classifier as engine
from routing.engine.wording import listed
from routing.services import classifiers, measuring, proofs
from routing.services.enforcement import evidence_of
from routing.training.evalsets import EvalSet, EvalSetError, read_prompts
from screens.errors import DomainError, Invalid

_UNUSABLE = 2


class Command(BaseCommand):
    help = "Trains classifiers from eval sets, scores prompts with them, and measures them."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        train = acts.add_parser("train", help="trains and publishes the next version of a name")
        train.add_argument("evalset", metavar="EVALSET.jsonl", type=Path)
        train.add_argument("--name", required=True)
        train.add_argument("--labels", type=int, help="train on so many of the rows")
        train.add_argument("--seed", type=int, default=0, help="of the labels and the folds")
        train.add_argument("--owner", default="", help="who answers for it, for the card")
        train.add_argument(
            "--features-only",
            action="store_true",
            help="no n-grams; without it they are kept where cross-validation says they help",
        )
        predict = acts.add_parser("predict", help="writes id,gain,score,unfamiliar as CSV")
        predict.add_argument("name", metavar="NAME[@VERSION]")
        predict.add_argument("prompts", metavar="PROMPTS.jsonl", type=Path)
        metrics = acts.add_parser("metrics", help="the field's metrics with their intervals")
        metrics.add_argument("name", metavar="NAME[@VERSION]")
        metrics.add_argument("evalset", metavar="EVALSET.jsonl", type=Path)
        metrics.add_argument("--resamples", type=int, default=500)
        metrics.add_argument("--seed", type=int, default=0, help="of the resamples")
        metrics.add_argument("--json", action="store_true", help="one JSON document, for CI")
        metrics.add_argument(
            "--record",
            action="store_true",
            help="keep it as the proof on the set's pair, which policies need to enforce",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        acts = {"train": self.train, "predict": self.predict, "metrics": self.metrics}
        try:
            acts[options["act"]](options)
        except EvalSetError as error:
            self._refuse(error.complaints)
        except DomainError as error:
            self._refuse(error.message.split("; "))
        except OSError as error:
            self._refuse([f"{error.filename}: {error.strerror}"])
        except UnicodeDecodeError:
            self._refuse(["The file is not UTF-8 text."])

    def _refuse(self, complaints: list[str]) -> None:
        for complaint in complaints:
            self.stderr.write(complaint)
        sys.exit(_UNUSABLE)

    def train(self, options: dict[str, Any]) -> None:
        # Here and not at the top: the other acts do without the arithmetic of training.
        from routing.training.train import Options, train

        classifiers.check_name(options["name"])
        with options["evalset"].open(encoding="utf-8-sig") as lines:
            evalset = classifiers.read_set(lines)
        if options["labels"] is not None:
            if not 0 < options["labels"] <= len(evalset.rows):
                raise Invalid(f"The set has {len(evalset.rows):,} labelled rows.")
            evalset = evalset.sample(options["labels"], options["seed"])
        trained = train(
            evalset,
            Options(
                name=options["name"],
                owner=options["owner"],
                ngrams="never" if options["features_only"] else "if_better",
                seed=options["seed"],
                progress=self._say(options["verbosity"]),
            ),
        )
        found = classifiers.publish_classifier(
            name=options["name"], trained=trained, by=SYSTEM("command line")
        )
        card = found.card
        self.stdout.write(f"{found}  {found.digest}")
        self.stdout.write(
            f"{card['rows']:,} labelled prompts, {card['features']} features, "
            f"{card['ngrams']:,} n-grams, {card['folds']}-fold cross-validation by group"
        )
        for name in ("apgr", "cpt50", "cpt80", "ece_small_fails"):
            self.stdout.write(_line(name, **card["metrics"][name]))
        self.stdout.write(card["verdict"]["sentence"])

    def _say(self, verbosity: int) -> Any:
        def say(step: str, percent: int) -> None:
            if verbosity > 1:
                self.stderr.write(f"{percent:3d} %  {step}")

        return say

    def predict(self, options: dict[str, Any]) -> None:
        scorer = engine.load(classifiers.named(options["name"]).artefact)
        with options["prompts"].open(encoding="utf-8-sig") as lines:
            prompts = read_prompts(lines)
        out = csv.writer(self.stdout, lineterminator="\n")
        out.writerow(("id", "gain", "score", "unfamiliar"))
        for (identity, _), scored in zip(
            prompts, measuring.score_all(scorer, (text for _, text in prompts)), strict=True
        ):
            # No words is no score, and never "easy".
            row = (scored.gain, scored.score) if scored else ("", "")
            flagged = scored is None or scored.unfamiliar
            out.writerow((identity, *row, "true" if flagged else "false"))

    def metrics(self, options: dict[str, Any]) -> None:
        found = proofs.subject_of(options["name"])
        with options["evalset"].open(encoding="utf-8-sig") as lines:
            evalset = classifiers.read_set(lines)
        measured = measuring.measure(
            found.scorer,
            evalset.rows,
            trained_groups=found.trained_groups,
            resamples=options["resamples"],
            seed=options["seed"],
        )
        notes = _notes(found.pair, evalset.pair, measured)
        if options["record"]:
            notes.append(_recorded(found, evalset, measured))
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(found.label, measured, notes), indent=1))
            return
        self.stdout.write(f"{found.label} on {measured.rows:,} prompts")
        for name, _ in measuring.METRICS:
            value = measured.values.get(name)
            low, high = measured.intervals.get(name, (None, None))
            self.stdout.write(_line(name, value=value, low=low, high=high))
        for note in notes:
            self.stdout.write(note)


def _line(name: str, *, value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return f"{name:22}        -"
    interval = f"   95 % [{low:.4f}, {high:.4f}]" if low is not None else ""
    return f"{name:22} {value:8.4f}{interval}"


def _recorded(found: proofs.Subject, evalset: EvalSet, measured: measuring.Measured) -> str:
    proof = proofs.record_proof(
        subject=found, evalset=evalset, measured=measured, by=SYSTEM("command line")
    )
    reasons = evidence_of(proof, found.trained_on).shortcomings()
    if reasons:
        return f"Recorded for {proof}; not enforceable there: {listed(reasons)}."
    return f"Recorded for {proof}: policies that route between them may enforce {found.label}."


def _notes(
    trained: dict[str, str], pair: dict[str, str], measured: measuring.Measured
) -> list[str]:
    notes = []
    if measured.seen:
        notes.append(f"{measured.seen:,} rows were left out: it was trained on their questions.")
    if measured.on_seen:
        notes.append("It was trained on all of these questions: the figures flatter it.")
    if measured.without_words:
        notes.append(f"{measured.without_words:,} prompts have no words and no score.")
    if measured.unfamiliar:
        notes.append(f"{measured.unfamiliar:,} prompts are unfamiliar to it.")
    if trained != pair:
        notes.append(
            "Another pair of models than it was trained for: enforceable there only when this is "
            "recorded and proves enough."
        )
    low = measured.intervals.get("apgr")
    if low is None or low.low <= 0.5:
        notes.append("Barely better than random on these prompts: not enforceable.")
    return notes


def _as_json(label: str, measured: measuring.Measured, notes: list[str]) -> dict[str, Any]:
    return {
        "classifier": label,
        "rows": measured.rows,
        "metrics": measured.values,
        "intervals": {name: list(pair) for name, pair in measured.intervals.items()},
        "notes": notes,
    }
