"""Calibrating a backend: from labels, with a trail, into the snapshot."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from audit.models import Event
from routing.models import Backend, Route
from routing.services.calibrations import calibrate_backend
from routing.services.snapshots import build_document
from screens.errors import Invalid, NotAllowed
from tests.engine.test_calibration import boastful

pytestmark = pytest.mark.django_db
SIGNAL = "token_logprob_q10"


def facts(backends: dict[str, Backend], by: Any, **changed: Any) -> dict[str, Any]:
    return {
        "backend": backends["small"],
        "signal": SIGNAL,
        "route": "support",
        "labelled": boastful(),
        "by": by,
        "reason": "First 400 labels",
        **changed,
    }


def test_it_is_kept_recorded_and_reaches_the_replicas(
    route: Route, backends: dict[str, Backend], people: dict[str, Any]
) -> None:
    outcome = calibrate_backend(**facts(backends, people["olivia"]))

    assert outcome.error_after < outcome.error_before
    event = Event.objects.filter(kind="backend.calibrated").latest("at")
    assert event.entry["details"]["labels"] == 400
    small = next(one for one in build_document()["backends"] if one["name"] == "small")
    [kept] = small["calibrations"]
    assert (kept["signal"], kept["route"], kept["labels"]) == (SIGNAL, "support", 400)


def test_a_second_one_takes_the_place_of_the_first(
    route: Route, backends: dict[str, Backend], people: dict[str, Any]
) -> None:
    for _ in range(2):
        calibrate_backend(**facts(backends, people["olivia"]))

    assert len(Backend.objects.get(name="small").calibrations) == 1


@pytest.mark.parametrize(
    "changed",
    [{"labelled": boastful()[:50]}, {"labelled": [(Decimal("0.5"), True)] * 300}, {"signal": "x"}],
    ids=["too few", "only good ones", "no signal"],
)
def test_too_little_evidence_is_refused(
    route: Route, backends: dict[str, Backend], people: dict[str, Any], changed: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        calibrate_backend(**facts(backends, people["olivia"], **changed))


def test_only_an_operator_may(
    route: Route, backends: dict[str, Backend], people: dict[str, Any]
) -> None:
    with pytest.raises(NotAllowed):
        calibrate_backend(**facts(backends, people["rui"]))


def test_the_command_reads_labels_from_a_file(
    route: Route, backends: dict[str, Backend], people: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    labels = tmp_path / "labels.jsonl"
    rows = [{"raw": str(raw), "good": good} for raw, good in boastful()]
    labels.write_text("\n".join(json.dumps(row) for row in rows))

    call_command(
        "calibrate_backend",
        str(labels),
        backend="small",
        signal=SIGNAL,
        by="olivia",
        reason="First labels",
    )

    assert "calibrated on 400 labels" in capsys.readouterr().out
    assert Backend.objects.get(name="small").calibrations[0]["route"] == ""
