"""Keeps what a classifier is worth on a pair of backends, so that a policy may rely on it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

import audit
from audit.actors import Actor
from routing.engine import classifier as engine
from routing.engine.first_weights import FIRST_CLASSIFIER
from routing.models import Classifier, ClassifierProof
from routing.services.classifiers import named
from routing.services.enforcement import evidence_of
from routing.services.measuring import Measured
from routing.training.evalsets import EvalSet
from screens.errors import Invalid

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What can be measured: a published classifier, or the first one, which has no row."""

    scorer: engine.Classifier
    pair: dict[str, str]
    trained_groups: list[str]
    classifier: Classifier | None

    @property
    def label(self) -> str:
        return self.scorer.label

    @property
    def trained_on(self) -> int | None:
        return int(self.classifier.card["rows"]) if self.classifier else None


def subject_of(label: str) -> Subject:
    """Raises NotFound."""
    if label in (FIRST_CLASSIFIER.name, FIRST_CLASSIFIER.label):
        return Subject(
            scorer=FIRST_CLASSIFIER,
            pair=dict(FIRST_CLASSIFIER.pair),
            trained_groups=[],
            classifier=None,
        )
    found = named(label)
    return Subject(
        scorer=engine.load(found.artefact),
        pair=dict(found.card["pair"]),
        trained_groups=found.trained_groups,
        classifier=found,
    )


@transaction.atomic
def record_proof(
    *, subject: Subject, evalset: EvalSet, measured: Measured, by: Actor
) -> ClassifierProof:
    """Keep a measurement, also one that proves too little: the newest decides on its pair.

    Raises Invalid where nothing was kept apart from training.
    """
    _check(evalset, measured)
    interval = measured.intervals.get("apgr")
    proof = ClassifierProof.objects.create(
        classifier=subject.classifier,
        digest=subject.scorer.digest,
        small=evalset.small_model,
        large=evalset.large_model,
        data_digest=evalset.digest,
        rows=measured.rows,
        apgr=measured.values.get("apgr"),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        metrics=dict(measured.values),
        recorded_by=by.name,
    )
    audit.record(
        "classifier.measured",
        by=by,
        object_type="classifier",
        object_id=subject.label,
        details=_details(subject, proof),
    )
    return proof


def _check(evalset: EvalSet, measured: Measured) -> None:
    if measured.on_seen:
        raise Invalid(
            "It was trained on all of these questions, so they prove nothing.",
            what_next="Record a measurement on labelled prompts that it has not seen.",
        )
    if not measured.rows:
        raise Invalid("No prompt of the set has words, so nothing was measured.")
    if max(map(len, (evalset.small_model, evalset.large_model))) > _LONGEST_NAME:
        raise Invalid(f"A model's name has at most {_LONGEST_NAME} characters.")


def _details(subject: Subject, proof: ClassifierProof) -> dict[str, Any]:
    reasons = evidence_of(proof, subject.trained_on).shortcomings()
    return {
        "pair": f"{proof.small} -> {proof.large}",
        "data_digest": proof.data_digest,
        "rows": proof.rows,
        "apgr": _places(proof.apgr),
        "low": _places(proof.low),
        "verdict": "not enforceable: " + "; ".join(reasons) if reasons else "enforceable",
    }


def _places(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
