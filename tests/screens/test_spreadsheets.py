from __future__ import annotations

import pytest

from screens.spreadsheets import cells


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "|x", "%x"])
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert cells([text]) == ["'" + text]


def test_numbers_and_other_texts_stay() -> None:
    assert cells([-1, 2.5, "a=b", "", None]) == [-1, 2.5, "a=b", "", None]
