from __future__ import annotations

import json
from decimal import Decimal

import pytest
import rfc8785
import yaml
from hypothesis import given
from hypothesis import strategies as st

from routing.engine import canonical
from tests.engine.cases import EXAMPLE

NUMBERS = st.one_of(
    st.integers(-(10**14), 10**14),
    st.decimals(-(10**6), 10**6, places=6).filter(canonical.is_plain),
)
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.text(st.characters(codec="utf-8")), NUMBERS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    ),
    max_leaves=20,
)


def as_floats(value):
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: as_floats(item) for key, item in value.items()}
    return [as_floats(item) for item in value] if isinstance(value, list) else value


@given(DOCUMENTS)
def test_encoding_is_that_of_rfc8785(document):
    assert canonical.encode(document) == rfc8785.dumps(as_floats(document))


@given(DOCUMENTS)
def test_digest_survives_json_with_decimals_and_with_floats(document):
    text = canonical.encode(document).decode()
    assert canonical.digest(json.loads(text)) == canonical.digest(document)
    assert canonical.digest(json.loads(text, parse_float=Decimal)) == canonical.digest(document)


def test_example_has_one_digest_in_yaml_and_json():
    from_yaml = yaml.safe_load(yaml.safe_dump(EXAMPLE, sort_keys=False))
    from_json = json.loads(json.dumps(EXAMPLE), parse_float=Decimal)
    assert canonical.digest(from_yaml) == canonical.digest(from_json) == canonical.digest(EXAMPLE)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Decimal("0.040"), "0.04"),
        (0.04, "0.04"),
        (Decimal("1E+3"), "1000"),
        (1.0, "1"),
        (Decimal("-0"), "0"),
        (0.000001, "0.000001"),
    ],
)
def test_equal_numbers_have_one_form(number, text):
    assert canonical.encode({"a": number}) == f'{{"a":{text}}}'.encode()


def test_keys_are_sorted_by_utf16_units():
    assert (
        canonical.encode({"\ue000": 1, "\U0001f600": 2}).decode() == '{"\U0001f600":2,"\ue000":1}'
    )


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"a": [float("nan")]}, "a[0]"),
        ({"a": float("inf")}, "a"),
        ({"a": {"b": Decimal("NaN")}}, "a.b"),
        ({"a": 10**15}, "a"),
        ({"a": Decimal("0.0000001")}, "a"),
        ({"a": "\ud800"}, "a"),
        ({"a": b"x"}, "a"),
        ({1: 2}, ""),
    ],
)
def test_what_has_no_canonical_form_is_named_by_path(document, path):
    with pytest.raises(canonical.NotCanonical) as raised:
        canonical.encode(document)
    assert raised.value.path == path


def test_endless_nesting_is_refused():
    nested: list = []
    nested.append(nested)
    with pytest.raises(canonical.NotCanonical):
        canonical.encode(nested)
