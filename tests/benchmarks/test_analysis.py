"""The benchmark of the analysis asks the same again for the same seed, and has work to do."""

from __future__ import annotations

import pytest

from benchmarks import analysis
from routing.engine.analyse import analyse


def test_the_same_seed_is_the_same_policy_and_another_seed_another():
    assert analysis.policy(15, 3) == analysis.policy(15, 3)
    assert analysis.policy(15, 3) != analysis.policy(15, 4)


def test_its_rules_meet_and_cover_each_other():
    codes = {found.code for seed in range(4) for found in analyse(analysis.policy(50, seed))}
    assert {"overlap", "unreachable", "contradiction", "redundant"} <= codes


@pytest.mark.parametrize(("bar", "code"), [(0.0, 1), (1e9, 0), (None, 0)])
def test_it_fails_where_a_bar_is_missed(monkeypatch, capsys, bar, code):
    monkeypatch.setattr(analysis, "BARS", ((5, bar),))
    monkeypatch.setattr("sys.argv", ["analysis", "--rounds", "2"])
    assert analysis.main() == code
    assert ("missed" in capsys.readouterr().out) == bool(code)
