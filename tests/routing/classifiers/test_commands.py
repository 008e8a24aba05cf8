from __future__ import annotations

import csv
import io
import json

import pytest
from django.core.management import call_command

from routing.models import Classifier, ClassifierProof

pytestmark = pytest.mark.django_db


def run(*words):
    out = io.StringIO()
    call_command("classifier", *words, stdout=out)
    return out.getvalue()


def test_train_publishes_the_next_version_and_records_it(written):
    file = written()
    first = run("train", file, "--name", "shop", "--features-only", "--labels", "120")
    run("train", file, "--name", "shop", "--features-only")
    assert first.startswith("shop@1  sha256:")
    assert "Not enforceable" in first
    newest = Classifier.objects.get(name="shop", version=2)
    assert newest.card["rows"] == 160 and newest.artefact["version"] == 2


def test_the_same_seed_scores_the_same(written):
    file = written()
    run("train", file, "--name", "shop", "--labels", "100", "--seed", "3")
    run("train", file, "--name", "shop", "--labels", "100", "--seed", "3")
    assert run("predict", "shop@1", file) == run("predict", "shop@2", file)


def test_predict_writes_one_line_a_prompt(written):
    run("train", written(), "--name", "shop", "--features-only")
    prompts = written(
        b'{"id": "a", "prompt": "Where do I find the lamps that Greta ordered in the app?"}\n'
        b'{"id": "b", "prompt": "1234"}\n'
    )
    lines = list(csv.DictReader(io.StringIO(run("predict", "shop", prompts))))
    assert list(lines[0]) == ["id", "gain", "score", "unfamiliar"]
    assert float(lines[0]["gain"]) < 0.5 and 0 < float(lines[0]["score"]) < 1
    assert lines[1] == {"id": "b", "gain": "", "score": "", "unfamiliar": "true"}


def test_metrics_leave_out_what_it_was_trained_on(written):
    file = written()
    run("train", file, "--name", "shop", "--features-only", "--labels", "100")
    found = json.loads(run("metrics", "shop", file, "--resamples", "30", "--json"))
    assert found["rows"] == 60
    low, high = found["intervals"]["apgr"]
    assert low <= found["metrics"]["apgr"] <= high
    assert any("100 rows were left out" in note for note in found["notes"])


def test_metrics_on_seen_questions_say_that_they_flatter(written):
    file = written()
    run("train", file, "--name", "shop", "--features-only")
    assert "flatter" in run("metrics", "shop", file, "--resamples", "10")


def test_measurement_can_be_kept_as_a_proof(written):
    file = written()
    run("train", file, "--name", "shop", "--features-only", "--labels", "100")
    said = run("metrics", "shop", file, "--resamples", "30", "--record")
    proof = ClassifierProof.objects.get()
    assert (proof.rows, proof.small, proof.classifier.name) == (60, "small-model", "shop")
    assert "60 other prompts of the 500 needed" in said


def test_the_first_classifier_can_be_measured_and_kept(written):
    run("metrics", "first", written(), "--resamples", "30", "--record")
    proof = ClassifierProof.objects.get()
    assert proof.classifier is None and proof.rows == 160


@pytest.mark.parametrize(
    "words",
    [
        ("train", "FILE", "--name", "Not A Name"),
        ("train", "FILE", "--name", "shop", "--labels", "9999"),
        ("train", "nowhere.jsonl", "--name", "shop"),
        ("predict", "nobody", "FILE"),
        ("metrics", "nobody@7", "FILE"),
    ],
)
def test_what_cannot_be_done_ends_with_two(written, words, capsys):
    file = written()
    with pytest.raises(SystemExit) as ended:
        run(*(file if word == "FILE" else word for word in words))
    assert ended.value.code == 2


def test_a_broken_set_ends_with_its_rows_named(written, capsys):
    file = written(b'{"id": 1}\n{\n')
    with pytest.raises(SystemExit):
        run("train", file, "--name", "shop")
    told = capsys.readouterr().err
    assert "row 1: prompt is missing" in told and "row 2: not JSON" in told
