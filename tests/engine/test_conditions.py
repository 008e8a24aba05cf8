from __future__ import annotations

from decimal import Decimal

import pytest

from routing.engine.clauses import ClauseReader
from routing.engine.conditions import compile_condition, negations_inward
from routing.engine.registry import FIRST_REGISTRY
from routing.engine.wording import condition_words


def condition(source):
    reader = ClauseReader(FIRST_REGISTRY)
    found = reader.condition(source, "when")
    assert reader.findings == []
    return found


def failing(source, **signals):
    inward = negations_inward(condition(source))
    return compile_condition(inward, FIRST_REGISTRY)(signals)


D = Decimal
CASES = [
    # operator, holds for, does not hold for
    ({"topic": {"eq": "legal"}}, "legal", "medical"),
    ({"topic": {"ne": "legal"}}, "medical", "legal"),
    ({"topic": {"in": ["legal", "medical"]}}, "medical", "math"),
    ({"topic": {"not_in": ["legal", "medical"]}}, "math", "legal"),
    ({"gain": {"lt": 0.04}}, D("0.0399"), D("0.04")),
    ({"gain": {"lte": 0.04}}, D("0.040"), D("0.040001")),
    ({"gain": {"gt": 0.04}}, D("0.05"), D("0.04")),
    ({"gain": {"gte": 0.04}}, D("0.04"), D("0.03")),
    ({"hour": {"between": [8, 17]}}, 17, 18),
    ({"prompt_tokens": {"in": [1, 2]}}, 2, 3),
    ({"has_code": {"eq": True}}, True, False),
    ({"client": {"starts_with": "batch-"}}, "batch-7", "web-batch-"),
    ({"personal_data": {"contains_any": ["email", "iban"]}}, {"iban", "phone"}, {"phone"}),
    ({"personal_data": {"contains_all": ["email", "iban"]}}, {"iban", "email"}, {"iban"}),
    ({"personal_data": {"contains_none": ["email", "iban"]}}, set(), {"iban", "phone"}),
]


def given(source, value):
    (name,) = source
    return {name: frozenset(value) if isinstance(value, set) else value}


@pytest.mark.parametrize(("source", "holds", "fails"), CASES)
def test_operator_holds_and_fails(source, holds, fails):
    assert failing(source, **given(source, holds)) is None
    leaf = failing(source, **given(source, fails))
    assert leaf.signal in source
    assert leaf.observed == next(iter(given(source, fails).values()))


@pytest.mark.parametrize(("source", "holds", "fails"), CASES)
def test_negated_operator_is_the_opposite(source, holds, fails):
    assert failing({"not": source}, **given(source, holds)) is not None
    assert failing({"not": source}, **given(source, fails)) is None


@pytest.mark.parametrize(("source", "holds", "fails"), CASES)
def test_absent_signal_makes_a_comparison_false_negated_or_not(source, holds, fails):
    assert failing(source).observed is None
    assert failing({"not": source}).observed is None


def test_presence_and_absence_are_asked_apart():
    assert failing({"score": {"absent": True}}) is None
    assert failing({"score": {"present": True}}, score=D("0.1")) is None
    assert failing({"not": {"score": {"present": True}}}) is None


def test_absent_data_class_counts_as_the_strictest():
    assert failing({"data_class": {"eq": "restricted"}}) is None
    assert failing({"data_class": {"eq": "public"}}).observed == "restricted"


def test_negation_reaches_through_groups():
    source = {"not": {"all": [{"topic": {"eq": "legal"}}, {"not": {"hour": {"lt": 9}}}]}}
    assert failing(source, topic="legal", hour=8) is None
    assert failing(source, topic="math", hour=12) is None
    assert failing(source, topic="legal", hour=12) is not None


def test_any_names_its_first_failing_leaf():
    source = {"any": [{"topic": {"eq": "legal"}}, {"hour": {"lt": 9}}]}
    assert failing(source, topic="math", hour=12).signal == "topic"
    assert failing(source, topic="math", hour=3) is None


@pytest.mark.parametrize("odd", ["text", D("NaN"), frozenset({"a"}), True, None])
@pytest.mark.parametrize(("source", "holds", "fails"), CASES)
def test_value_of_another_type_never_raises(source, holds, fails, odd):
    (name,) = source
    signals = {} if odd is None else {name: odd}
    compile_condition(negations_inward(condition(source)), FIRST_REGISTRY)(signals)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"all": [{"data_class": {"in": ["restricted"]}}]}, "data class is restricted"),
        (
            {"all": [{"gain": {"lte": 0.04}}, {"prompt_tokens": {"lte": 1500}}]},
            "gain is at most 0.04 and prompt has at most 1,500 tokens",
        ),
        ({"unfamiliar": {"eq": False}}, "request is familiar"),
        ({"has_code": {"ne": True}}, "last turn has no code"),
        ({"topic": {"not_in": ["legal", "medical"]}}, "topic is neither legal nor medical"),
        ({"hour": {"between": [8, 17]}}, "hour is between 8 and 17"),
        (
            {"personal_data": {"contains_any": ["email", "iban"]}},
            "personal data includes email or iban",
        ),
        ({"personal_data": {"contains_none": ["iban"]}}, "personal data does not include iban"),
        ({"client": {"starts_with": "batch-"}}, "client starts with 'batch-'"),
        ({"score": {"absent": True}}, "score is not known"),
        ({"budget_left_pct": {"lt": 20}}, "budget left is below 20 %"),
        (
            {"all": [{"any": [{"hour": {"lt": 8}}, {"hour": {"gt": 17}}]}, {"turns": {"gte": 2}}]},
            "(hour is below 8 or hour is above 17) and conversation has at least 2 user turns",
        ),
        ({"not": {"topic": {"eq": "legal"}}}, "not (topic is legal)"),
    ],
)
def test_condition_reads_as_english(source, words):
    assert condition_words(condition(source), FIRST_REGISTRY) == words
