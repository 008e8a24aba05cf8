from __future__ import annotations

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from routing.engine.classifier import MAX_NGRAMS, load, score
from routing.engine.drift import compare
from routing.training import heads, risk
from routing.training.calibration import platt, probabilities
from routing.training.card import verdict
from routing.training.evalsets import EvalSetError, read_evalset, read_prompts
from routing.training.samples import folds_of, sample_of
from routing.training.train import Options, train

QUICK = Options(name="quick", resamples=20, learning_curve=False, ngrams="always")


@pytest.fixture
def parsed(evalset):
    return read_evalset(evalset.decode().splitlines())


@pytest.fixture
def trained(parsed):
    return train(parsed, QUICK)


def test_complaints_name_their_rows(rows):
    rows[1]["small_score"] = 1.2
    rows[3]["prompt"] = " "
    rows[5]["id"] = rows[4]["id"]
    lines = [json.dumps(row) for row in rows] + ["{", "[]"]
    with pytest.raises(EvalSetError) as refused:
        read_evalset(lines)
    begins = [complaint.partition(":")[0] for complaint in refused.value.complaints]
    assert begins == ["row 2", "row 4", "row 6", "row 161", "row 162"]


def test_a_set_of_two_pairs_is_refused(rows):
    rows[9]["large_model"] = "another"
    with pytest.raises(EvalSetError, match="different pairs"):
        read_evalset(map(json.dumps, rows))


def test_an_empty_set_is_refused():
    with pytest.raises(EvalSetError, match="no rows"):
        read_evalset([])


def test_prompts_need_only_an_id_and_a_text():
    assert read_prompts(['{"id": 1, "prompt": "Hello"}', ""]) == [("1", "Hello")]
    with pytest.raises(EvalSetError, match="row 1"):
        read_prompts(['{"id": 1}'])


def test_labels_are_drawn_by_seed_and_not_by_the_order_of_the_file(parsed):
    turned = replace(parsed, rows=parsed.rows[::-1])
    drawn = {row.id for row in parsed.sample(40, 3).rows}
    assert len(drawn) == 40
    assert drawn == {row.id for row in turned.sample(40, 3).rows}
    assert drawn != {row.id for row in parsed.sample(40, 4).rows}


def test_folds_keep_the_rows_of_a_group_together():
    groups = [f"g{number % 7}" for number in range(70)]
    tested = []
    for train_rows, test_rows in folds_of(groups, 3, seed=1):
        assert not {groups[row] for row in train_rows} & {groups[row] for row in test_rows}
        tested += test_rows.tolist()
    assert sorted(tested) == list(range(70))


def test_the_engine_scores_what_was_trained(parsed):
    """Training and serving read a prompt alike: words, features, n-grams, weights."""
    sample = sample_of(parsed.rows, with_ngrams=True)
    everything = np.arange(len(sample))
    fitted = heads.fit(sample, everything, with_ngrams=True)
    scale = platt(fitted.log_odds(sample, everything), sample.small)
    from routing.training.train import artefact_of

    ready = load(artefact_of(parsed, sample, fitted, scale, QUICK))
    served = [score(ready, row.prompt) for row in parsed.rows]
    assert [float(one.gain) for one in served] == pytest.approx(
        fitted.gains(sample, everything).clip(-1, 1).tolist(), abs=1e-4
    )
    shares = probabilities(scale(fitted.log_odds(sample, everything)))
    assert [float(one.score) for one in served] == pytest.approx(shares.tolist(), abs=2e-4)
    assert all(sum(part.gain for part in one.contributions) == one.gain for one in served)


def test_training_twice_with_one_seed_gives_one_artefact(parsed, trained):
    again = train(parsed, QUICK)
    assert load(again.artefact).digest == load(trained.artefact).digest
    assert again.card == trained.card


def test_what_is_trained_tells_sums_from_service_questions(trained):
    assert trained.card["metrics"]["apgr"]["value"] > 0.7
    assert trained.card["metrics"]["apgr"]["low"] > 0.5


def test_artefact_is_json_with_few_ngrams(trained):
    artefact = json.loads(json.dumps(trained.artefact))
    assert len(artefact["ngrams"]["weights"]) <= MAX_NGRAMS
    assert load(artefact).digest == load(trained.artefact).digest


def test_requests_of_another_kind_are_unfamiliar(trained):
    ready = load(trained.artefact)
    known = "Where do I find the lamps that Greta ordered in the app, order 12?"
    assert not score(ready, known).unfamiliar
    assert score(
        ready, "¿Dónde encuentro las lámparas que pidió Greta en la aplicación?"
    ).unfamiliar
    assert score(
        ready, "def f(a):\n    return [x for x in a if x > 3]\nassert f([1]) == ??"
    ).unfamiliar


def test_features_only_has_no_ngrams(parsed):
    plain = train(parsed, replace(QUICK, ngrams="never"))
    assert plain.artefact["ngrams"]["weights"] == {}


def test_cancelling_stops_between_steps(parsed):
    def stop(step, percent):
        raise InterruptedError(step)

    with pytest.raises(InterruptedError):
        train(parsed, replace(QUICK, progress=stop))


@pytest.mark.parametrize(
    ("apgr", "low", "rows", "is_enforceable", "begins"),
    [
        (0.66, 0.61, 800, True, "Better than random"),
        (0.52, 0.49, 6_000, False, "Barely better than random"),
        (0.7, 0.6, 299, False, "Trained on 299"),
        (0.7, 0.6, 499, False, "Judged by 499"),
        (None, None, 500, False, "Both models are equally good"),
    ],
)
def test_verdict_says_plainly_what_may_not_be_enforced(apgr, low, rows, is_enforceable, begins):
    found = verdict(apgr, low, rows)
    assert found["enforceable"] is is_enforceable
    assert found["sentence"].startswith(begins)


def test_models_that_answer_alike_have_nothing_to_learn(rows):
    for row in rows:
        row["small_score"] = row["large_score"] = 1.0
    with pytest.raises(EvalSetError, match="equally well"):
        train(read_evalset(map(json.dumps, rows)), QUICK)


def test_risk_control_keeps_its_target_on_average():
    chance = np.random.default_rng(4)
    realised = []
    for _ in range(200):
        gains = chance.random(1_300)
        losses = (chance.random(1_300) < gains / 3).astype(float)
        threshold = risk.conformal_threshold(gains[:300], losses[:300], 0.05)
        realised.append((losses[300:] * (gains[300:] <= threshold)).mean())
    assert np.mean(realised) <= 0.053


def test_a_target_that_no_threshold_keeps_gives_none():
    assert risk.conformal_threshold(np.arange(10.0), np.ones(10), 0.05) is None


def test_what_cannot_be_certified_says_so():
    gains, good = np.arange(400.0), np.zeros(400)
    assert {one["share_small"] for one in risk.certified(gains, good)} == {None}
    assert risk.certified(gains, np.ones(400))[0]["share_small"] == 1.0


def test_clopper_pearson_is_the_exact_bound():
    assert risk.upper_bound(0, 29, 0.95) == pytest.approx(1 - 0.05 ** (1 / 29))
    assert risk.upper_bound(5, 5) == 1.0


def test_artefact_keeps_what_its_prompts_were_like(parsed, trained):
    kept = trained.artefact["reference"]
    assert kept["prompts"] == trained.card["rows"]
    for one in [*kept["numbers"].values()]:
        assert len(one["shares"]) == len(one["edges"]) + 1
        assert sum(one["shares"]) == pytest.approx(1, abs=1e-3)
    assert kept["labels"]["language"]["en"] > 0.5
    assert 0 <= kept["labels"]["unfamiliar"]["true"] <= 0.1


def test_training_prompts_have_not_drifted_from_themselves(parsed, trained):
    """The reference counts as serving does: the same prompts, measured live, are steady."""
    from routing.engine.signals import measure

    ready = load(trained.artefact)
    signals = []
    for row in parsed.rows * 2:
        body = {"messages": [{"role": "user", "content": row.prompt}]}
        measured = measure(body)
        signals.append(measured | score(ready, body, measured).as_signals())
    found = {one.name: one for one in compare(trained.artefact["reference"], signals)}
    assert {one.verdict for one in found.values()} == {"steady"}
    assert found["prompt_tokens"].index < 0.01


def test_an_artefact_without_a_reference_still_loads(trained):
    older = {name: part for name, part in trained.artefact.items() if name != "reference"}
    assert score(load(older), "Hello there") == score(load(trained.artefact), "Hello there")


def test_artefact_with_its_reference_is_small(trained):
    packed = gzip.compress(json.dumps(trained.artefact).encode())
    alone = gzip.compress(json.dumps(trained.artefact["reference"]).encode())
    assert len(packed) < 300_000 and len(alone) < 2_000
