"""Which snapshot a replica decides on: a bad one never, an old one up to its stated age."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from routing.gateway.rehearsal import NotValid, prepare
from routing.gateway.snapshot import restricted_by
from routing.services.snapshots import digest_of
from tests.faults.upstream import Upstream, answer, completion
from tests.routing.gateway.conftest import START, snapshot_document

PORTS = {"small": 1, "large": 2, "cloud": 3}


def changed(**parts: Any) -> dict[str, Any]:
    """A valid document with some parts replaced and its digest made true again."""
    document = {**snapshot_document(PORTS, signoffs={"internal": 2_000_000_000}), **parts}
    return {**document, "digest": digest_of(document)}


def spoil_policy(document: dict[str, Any]) -> None:
    document["routes"][0]["policy"]["document"]["rules"][0]["when"] = {"no_such": {"lte": 3}}


def spoil_key(document: dict[str, Any]) -> None:
    document["keys"][0]["sha256"] = "not hex"


def spoil_price(document: dict[str, Any]) -> None:
    del document["backends"][0]["price_in"]


@pytest.mark.parametrize("spoil", [spoil_policy, spoil_key, spoil_price])
def test_a_document_with_one_bad_part_is_refused_whole(
    spoil: Callable[[dict[str, Any]], None],
) -> None:
    document = changed()
    spoil(document)
    document["digest"] = digest_of(document)

    with pytest.raises(NotValid, match="does not compile"):
        prepare(document)


def test_a_document_that_is_not_what_its_digest_says_is_refused() -> None:
    with pytest.raises(NotValid, match="digest"):
        prepare({**changed(), "killed": ["public:"]})


def test_what_a_refused_document_takes_away_holds_at_once() -> None:
    good = prepare(changed())
    bad = changed(killed=["backend:small", "public:", "route:support"], keys=[])
    bad["backends"][2]["signoffs"] = {}

    left = restricted_by(good, bad)

    assert left.killed_for("support") == {"small", "public", "support"}
    assert left.keys == {}
    assert left.backends["cloud"].facts.signoffs == {}
    assert left.digest not in {good.digest, bad["digest"]}


def test_what_a_refused_document_would_allow_does_not_hold() -> None:
    good = prepare(changed(killed=["backend:small"]))
    bad = changed()
    bad["backends"][2]["signoffs"] = {"restricted": 2_100_000_000, "internal": 2_100_000_000}

    left = restricted_by(good, bad)

    assert left.killed_backends == {"small"}
    assert dict(left.backends["cloud"].facts.signoffs) == {"internal": 2_000_000_000}


def test_a_backend_that_is_gone_or_moved_outside_gets_nothing_more() -> None:
    good = prepare(changed())
    bad = changed()
    bad["backends"] = [{**bad["backends"][0], "boundary": "public"}]

    left = restricted_by(good, bad)

    assert {left.backends[name].facts.state for name in PORTS} == {"disabled"}


async def test_the_old_snapshot_serves_on_and_the_bad_one_is_told(start: START) -> None:
    live = await start(small=Upstream(answer(completion())), large=Upstream())
    replica = live.gateway.replica
    before = replica.snapshot
    bad = snapshot_document({"small": 1, "large": 2})
    spoil_policy(bad)
    bad = {**bad, "revision": 7, "digest": digest_of(bad)}

    assert not await replica.adopt(bad, keep=False)

    assert (await live.ask()).status_code == 200
    assert replica.refusal is not None
    assert before is not None
    assert replica.refusal.revision == 7
    metrics = (await live.client.get("/metrics")).text
    assert re.search(r"signalbox_snapshot_refused\{worker=.*\} 1\.0", metrics)
    assert "compile" in (await live.client.get("/health/ready")).json()["refuses"]


async def test_the_next_good_one_ends_the_refusal(start: START) -> None:
    live = await start(small=Upstream(answer(completion())), large=Upstream())
    replica = live.gateway.replica
    good = replica.snapshot
    assert not await replica.adopt({"revision": 7, "digest": "sha256:0"}, keep=False)
    document = snapshot_document({"small": 5, "large": 6})

    assert await replica.adopt(document, keep=False)

    assert replica.refusal is None
    assert replica.snapshot is not good


async def test_older_than_its_stated_age_it_refuses_politely(start: START) -> None:
    small = Upstream(answer(completion()))
    live = await start(small=small, large=Upstream())
    live.gateway.replica._confirmed = monotonic() - 3601

    got, ready = await live.ask(), await live.client.get("/health/ready")

    assert (got.status_code, got.json()["error"]["code"]) == (503, "policy_unavailable")
    assert got.headers["retry-after"] == "5"
    assert ready.status_code == 503
    assert small.bodies == []
