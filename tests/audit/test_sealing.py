from __future__ import annotations

import json
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.actors import Actor
from audit.errors import EntryTooLarge, UnfitValue, UnknownKind
from audit.ids import terminal_id, time_of, uuid7
from audit.sealing import Writer, canonical

SHOP = Actor("api_key", "k1234567", "web shop")

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=25,
)


def seal(writer: Writer, **more: Any) -> Any:
    identity = uuid7()
    return writer.seal(
        "decision.made", decision_id=identity, actor=SHOP, object=("route", "r"), **more
    )


@given(st.dictionaries(text, values, max_size=6))
@settings(max_examples=400, deadline=None)
def test_sealed_bytes_are_rfc_8785(details: dict[str, Any]) -> None:
    assert canonical(details) == rfc8785.dumps(details)


def test_keys_beyond_the_basic_plane_sort_as_utf_16() -> None:
    details = {"\uffff": 1, "\U0001f600": 2}

    assert canonical(details) == rfc8785.dumps(details)


@pytest.mark.parametrize(
    "value", [1.0, 0.5, float("nan"), 2**53, -(2**60), "\ud800", b"bytes", object(), {1: "key"}]
)
@pytest.mark.parametrize("wrap", [lambda v: {"a": v}, lambda v: {"a": [{"b": (v,)}]}])
def test_what_has_no_canonical_form_is_refused(value: object, wrap: Any) -> None:
    with pytest.raises(UnfitValue):
        canonical(wrap(value))


def test_decimals_become_strings_without_exponent() -> None:
    assert canonical({"cost": Decimal("1E-7")}) == b'{"cost":"0.0000001"}'


def test_the_leaf_is_the_hash_of_the_stored_bytes() -> None:
    event = seal(Writer("log"))

    assert event.leaf == sha256(b"\x00" + event.body).digest()


def test_search_columns_say_what_the_body_says() -> None:
    event = seal(Writer("log"), corr={"request_id": "req-12345678"}, reason="why")
    body = json.loads(event.body)

    assert (event.actor, event.reason) == (body["actor"]["name"], body["reason"])
    assert (event.request_id, event.object_id) == (body["corr"]["request_id"], body["object"]["id"])
    assert body["at"] == event.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.parametrize("value", [0.5, 1e20, float("nan"), float("inf")])
def test_a_float_deep_inside_is_refused_by_the_live_recorder(value: float) -> None:
    with pytest.raises(UnfitValue):
        seal(Writer("log"), details={"trace": [{"rules": ({"threshold": value},)}]})


def test_numbers_are_dense_and_a_refused_event_uses_none() -> None:
    writer = Writer("log")
    seal(writer)
    with pytest.raises(UnfitValue):
        seal(writer, details={"score": 0.5})

    assert json.loads(seal(writer).body)["writer"] == {"id": writer.id, "n": 2}


def test_a_restarted_writer_counts_under_a_new_name() -> None:
    writer = Writer("log", name="gateway")
    before = writer.id
    seal(writer)
    writer.restart()

    assert writer.id != before
    assert json.loads(seal(writer).body)["writer"] == {"id": writer.id, "n": 1}


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(UnknownKind):
        Writer("log").seal("policy.invented", actor=SHOP, object=("policy", "p"))


def test_a_terminal_event_without_its_decision_is_refused() -> None:
    with pytest.raises(UnfitValue):
        Writer("log").seal("decision.completed", actor=SHOP, object=("route", "r"))


def test_an_entry_over_64_kib_is_refused() -> None:
    with pytest.raises(EntryTooLarge):
        seal(Writer("log"), details={"text": "x" * 65_536})


def test_the_terminal_id_differs_from_the_decision_by_its_version_only() -> None:
    decision = uuid7()
    terminal = terminal_id(decision)

    assert (decision.version, str(terminal)[14]) == (7, "8")
    assert str(terminal)[:14] + "7" + str(terminal)[15:] == str(decision)
    assert terminal_id(terminal) == terminal


def test_an_id_carries_its_time() -> None:
    at_us = 1_790_000_000_123_456

    assert int(time_of(uuid7(at_us)).timestamp() * 1000) == at_us // 1000
