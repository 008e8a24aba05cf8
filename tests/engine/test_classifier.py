from __future__ import annotations

import copy
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.engine.classifier import ArtefactError, load, score
from routing.engine.features import FEATURES, features_of
from routing.engine.first_weights import FIRST_ARTEFACT, FIRST_CLASSIFIER
from routing.engine.signals import measure, words_of

DATA = Path(os.environ.get("SIGNALBOX_DATA_DIR", Path(__file__).parents[3] / "shared" / "data"))
PROMPTS = DATA / "prompts.jsonl"
EASY = "Where is my card?"
HARD = (
    "A defendant was charged with murder. At trial the prosecutor offered hearsay testimony of a "
    "witness who, although he had not seen the victim, claimed that the defendant had confessed. "
    "Which of the following is the best argument against its admission?\nA. One.\nB. Two."
    "\nC. Three.\nAnswer:"
)


def test_narrow_question_gains_less_than_a_hard_one():
    easy, hard = score(FIRST_CLASSIFIER, EASY), score(FIRST_CLASSIFIER, HARD)
    assert easy.gain < Decimal("0.04") < hard.gain
    assert easy.score > Decimal("0.8") > hard.score


@given(st.text(max_size=400))
def test_contributions_sum_exactly_to_what_they_explain(text):
    scored = score(FIRST_CLASSIFIER, text)
    if scored is not None:
        parts = scored.contributions
        assert max(-1, min(1, sum(part.gain for part in parts))) == scored.gain
        assert sum(part.score for part in parts) == scored.log_odds
        assert 0 <= scored.score <= 1
        assert all(part.words for part in parts)


def test_top_contributions_are_words_with_signed_points():
    (words, points), *_ = score(FIRST_CLASSIFIER, HARD).top_contributions()
    assert words in {words for _, words in FEATURES}
    assert points.startswith(("+", "-"))


@pytest.mark.parametrize("body", ["", "1234", {"messages": []}, {"messages": [{"role": "user"}]}])
def test_no_text_is_no_score_rather_than_an_easy_one(body):
    assert score(FIRST_CLASSIFIER, body) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Wo ist meine Karte, sie ist noch nicht angekommen?", "language de"),
        ("私のカードはどこですか", "language ja"),
        ("zxcv qwer tyui asdf ghjk bnmp lkjh poiu", "few common words"),
        ("the card is lost " * 400, "very long"),
    ],
)
def test_unfamiliar_request_is_flagged_with_its_reason(text, why):
    scored = score(FIRST_CLASSIFIER, text)
    assert scored.unfamiliar and scored.why_unfamiliar == why


def test_familiar_request_is_not_flagged():
    body = {"messages": [{"role": "user", "content": EASY}]}
    scored = score(FIRST_CLASSIFIER, body, measure(body))
    assert not scored.unfamiliar
    assert set(scored.as_signals()) == {"gain", "score", "unfamiliar"}


def test_features_are_bounded_and_in_their_order():
    for text in (EASY, HARD, "x" * 9000, "1 2 3 $5 40% = ?", "私の"):
        values = features_of(text, words_of(text))
        assert len(values) == len(FEATURES)
        assert all(0 <= value <= 1 for value in values)


def test_artefact_survives_json():
    assert load(json.loads(json.dumps(FIRST_ARTEFACT))).digest == FIRST_CLASSIFIER.digest


def test_ngrams_add_to_the_sums():
    artefact = copy.deepcopy(FIRST_ARTEFACT)
    artefact["ngrams"] = {"longest": 2, "weights": {"my card": [1.5, -0.1, 0.4], "is": [1, 0.1, 0]}}
    plain, richer = score(FIRST_CLASSIFIER, EASY), score(load(artefact), EASY)
    added = {p.name: p.gain for p in richer.contributions if p.name.startswith("“")}
    assert set(added) == {"“is”", "“my card”"}
    assert richer.gain == plain.gain + sum(added.values())


def shaped(rows):
    shape = {"features": ["code", "symbols"], "means": [0.0, 0.0], "rows": rows, "most": 9.0}
    return {**FIRST_ARTEFACT["unfamiliar"], "shape": shape}


@pytest.mark.parametrize(
    ("flags", "text", "why"),
    [
        (shaped([[5.0], [0.0, 5.0]]), "Is <b>this</b> the right form of it?", "unlike the"),
        (
            {"known_words": "where is my card", "least_known_share": 0.9},
            "Where is my unheard-of gadget?",
            "many unknown words",
        ),
        ({"topics": ["legal"]}, "Where is my card?", "little evidence on the topic account"),
    ],
)
def test_trained_limits_say_why_a_request_is_unfamiliar(flags, text, why):
    unfamiliar = {**FIRST_ARTEFACT["unfamiliar"], **flags}
    ready = load({**FIRST_ARTEFACT, "unfamiliar": unfamiliar})
    assert score(ready, text).why_unfamiliar.startswith(why)


def test_distance_is_that_of_mahalanobis():
    """Whitening rows of unit variance: the squared distance is the plain sum of squares."""
    shape = load({**FIRST_ARTEFACT, "unfamiliar": shaped([[1.0], [0.0, 2.0]])}).shape
    values = [0.0] * len(FEATURES)
    names = [name for name, _ in FEATURES]
    values[names.index("code")], values[names.index("symbols")] = 1.0, 0.5
    assert shape.distance(values) == pytest.approx(1.0**2 + (2 * 0.5) ** 2)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "signalbox.classifier/9"},
        {"features": [{"name": "mood", "gain": 1, "score": 1}]},
        {"features": [{"name": "length", "gain": float("nan"), "score": 1}]},
        {"intercept": {}},
        {"ngrams": {"longest": 1, "weights": {f"w{n}": [1, 0, 0] for n in range(1001)}}},
        {"unfamiliar": {"languages": ["tlh"]}},
        {"unfamiliar": shaped([[1.0], [0.0, 1.0, 2.0]])},
        {"unfamiliar": shaped([[1.0]])},
        {"unfamiliar": shaped([[1.0], [0.0, float("inf")]])},
    ],
)
def test_broken_artefact_is_refused(change):
    with pytest.raises(ArtefactError):
        load({**FIRST_ARTEFACT, **change})


@pytest.fixture(scope="module")
def prompts():
    if not PROMPTS.exists():
        pytest.skip(f"the shared prompts are not at {PROMPTS}")
    return [json.loads(line) for line in PROMPTS.read_text().splitlines()]


def goes_to_small_model(prompt):
    scored = score(FIRST_CLASSIFIER, prompt)
    return scored is not None and scored.gain <= Decimal("0.04") and not scored.unfamiliar


def share(prompts, kinds):
    chosen = [goes_to_small_model(one["prompt"]) for one in prompts if one["kind"] in kinds]
    return sum(chosen) / len(chosen)


def test_real_narrow_questions_go_to_the_small_model(prompts):
    assert share(prompts, {"narrow"}) >= 0.9


def test_real_reasoning_law_and_medicine_do_not(prompts):
    assert share(prompts, {"reasoning", "high_stakes"}) <= 0.15


def test_topic_finds_real_law_and_medicine(prompts):
    texts = [one["prompt"] for one in prompts if one["kind"] == "high_stakes"]
    found = [topic_of_text(text) in ("legal", "medical") for text in texts]
    assert sum(found) / len(found) >= 0.9


def topic_of_text(text):
    return measure({"input": text}).get("topic")
