"""The dossier carries what stands behind a version: its backtests and its classifier's card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from routing.models import Classifier, PolicyVersion
from routing.queries import dossier, evidence
from routing.services import backtests

pytestmark = pytest.mark.django_db


def test_a_backtest_of_the_version_is_in_its_dossier_and_in_the_pdf(
    decided: Callable[..., UUID], draft_of: Callable[..., PolicyVersion], people: dict[str, Any]
) -> None:
    decided()
    version = draft_of()
    waiting = backtests.request_backtest(version=version, days=14, by=people["arjun"])
    backtests.run_backtest(backtest_id=waiting.pk)
    (run,) = evidence.backtests_of(version)
    assert (run["decisions"], run["of"]) == ("1 of 1", "this document")
    assert run["guardrails"] == "none crossed"
    found = dossier.dossier_of(version)
    assert found["backtests"] == [run]
    assert dossier.as_pdf(found, version).startswith(b"%PDF")
    edited = draft_of(owner="somebody-else")
    assert evidence.backtests_of(edited)[0]["of"].startswith("an earlier document")


def test_the_card_of_the_named_classifier_is_told_with_its_intervals() -> None:
    Classifier.objects.create(
        name="support-triage",
        version=3,
        digest="sha256:" + "ab" * 32,
        artefact={},
        card={
            "rows": 812,
            "data_digest": "sha256:" + "cd" * 32,
            "verdict": {"sentence": "Better than random."},
            "metrics": {"apgr": {"value": 0.641, "low": 0.58, "high": 0.7}},
        },
        created_by="test",
    )
    found = evidence.evaluation_of({"classifier": "support-triage@3"})
    assert found["sentence"] == "Better than random."
    assert "812 rows" in found["of"]
    assert found["metrics"][0] | {"words": ""} == {
        "words": "",
        "value": "0.641",
        "interval": "0.580 to 0.700",
    }
    assert found["metrics"][1]["value"] == "not measured"
    assert evidence.evaluation_of({"classifier": "support-triage@4"})["sentence"] == "None yet."
    assert evidence.evaluation_of({})["metrics"] == []
