"""Documents come from outside: reading them is strict, and says where it stopped."""

from __future__ import annotations

import pytest

from routing.services.interchange import Unreadable, read_document


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1,2", "Line 1"),
        ("a: 1\na: 2", "repeats the key 'a'"),
        ("a: &x [1]\nb: *x", "alias"),
        ("- 1", "is a mapping"),
        ("a: !!python/object:x.Y 1", "tag"),
        ("a: " + "[" * 5000, "too deeply"),
        ("1: 2", "key that is not text"),
        ("\x00", "no YAML"),
        ("", "is a mapping"),
        ("a: " + "x" * 600_000, "KiB"),
    ],
)
def test_what_is_no_document_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read_document(text)


def test_the_language_no_stays_a_word() -> None:
    assert read_document("in: [no, on, yes, de]") == {"in": ["no", "on", "yes", "de"]}


def test_json_is_read_too() -> None:
    assert read_document('{"a": [1, 0.04, true, null, "2026-01-01"]}') == {
        "a": [1, 0.04, True, None, "2026-01-01"]
    }
