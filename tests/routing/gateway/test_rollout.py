"""A running rollout in the live API: two versions at once, each decision says which and why."""

from __future__ import annotations

import copy

import pytest

from routing.engine.rollout import CANDIDATE, arm_of
from routing.gateway.rehearsal import NotValid, prepare
from routing.gateway.snapshot import restricted_by
from tests.routing.gateway.conftest import sealed, snapshot_document

PORTS = {"small": 9, "large": 9}


def rolling(share: int, salt: str = "a") -> dict:
    document = copy.deepcopy(snapshot_document(PORTS))
    route = document["routes"][0]
    policy = copy.deepcopy(route["policy"])
    policy["number"], policy["digest"] = 2, "sha256:2"
    policy["document"]["rules"] = []
    route["rollout"] = {"attempt": "one", "salt": salt, "share": share, "policy": policy}
    return sealed(document)


def arms(share: int, salt: str = "a") -> dict[str, str]:
    route = prepare(rolling(share, salt)).routes["support"]
    return {f"s{n}": route.for_unit(f"s{n}")[0].policy_label for n in range(400)}


def test_each_unit_gets_the_version_of_its_arm() -> None:
    found = arms(30)
    assert set(found.values()) == {"support@1", "support@2"}
    assert all(
        (label == "support@2") == (arm_of("a", unit, 30) == CANDIDATE)
        for unit, label in found.items()
    )


def test_a_larger_share_moves_nobody_back_and_another_salt_draws_again() -> None:
    small, large = arms(10), arms(50)
    inside = {unit for unit, label in small.items() if label == "support@2"}
    assert inside
    assert inside < {unit for unit, label in large.items() if label == "support@2"}
    assert inside != {unit for unit, label in arms(10, "b").items() if label == "support@2"}


def test_without_a_rollout_there_is_no_arm() -> None:
    route = prepare(snapshot_document(PORTS)).routes["support"]
    assert route.for_unit("s1") == (route, "")


def test_a_candidate_that_cannot_be_read_is_refused_with_its_snapshot() -> None:
    document = rolling(10)
    document["routes"][0]["rollout"]["policy"]["document"]["default"] = {}
    with pytest.raises(NotValid, match="compile"):
        prepare(sealed(document))


def test_an_abort_holds_even_where_the_newer_snapshot_is_refused() -> None:
    running = prepare(rolling(50))
    stopped = restricted_by(running, snapshot_document(PORTS))
    assert running.routes["support"].rollout is not None
    assert stopped.routes["support"].rollout is None
    assert restricted_by(running, rolling(50)).routes["support"].rollout is not None
