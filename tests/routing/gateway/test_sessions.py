"""Sticky sessions: what a conversation keeps, what is stronger, and what is never remembered."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from routing.gateway.scoring import Scoring
from routing.gateway.sessions import LONGEST_S, Remembered, Sessions
from routing.services.snapshots import digest_of
from tests.faults.upstream import Upstream, answer, completion, reset
from tests.routing.gateway.conftest import START, Live, snapshot_document

STICKY: dict[str, Any] = {"session": {"sticky": True}}
SHORT = "Where is my parcel?"
LONG = "Please compare these offers in detail. " * 60


def sticky_of(answer: Any) -> tuple[str, str]:
    return answer.headers["x-signalbox-sticky"], answer.headers["x-signalbox-cause"]


async def test_without_a_session_or_a_sticky_policy_nothing_is_remembered(start: START) -> None:
    plain = await start(small=Upstream(), large=Upstream())
    await plain.say(LONG, session="a")

    got = await plain.say(SHORT, session="a")

    assert sticky_of(got) == ("none", "rule_match")
    assert len(plain.gateway.replica.sessions) == 0


async def test_a_conversation_keeps_the_larger_tier_and_the_trace_says_so(start: START) -> None:
    live = await start(STICKY, small=Upstream(), large=Upstream())
    first = await live.say(LONG, session="a")

    second = await live.say(SHORT, session="a")

    assert sticky_of(first) == ("miss", "default_route")
    assert sticky_of(second) == ("hit", "sticky_session")
    assert second.headers["x-signalbox-backend"] == "large"
    made = await live.made(second)
    assert made["facts"]["sticky_tier"] == "llm"
    assert made["sticky"] == {"state": "hit", "why": "", "tier": "llm", "age_s": 0}


async def test_it_may_rise(start: START) -> None:
    live = await start(STICKY, small=Upstream(), large=Upstream())
    await live.say(SHORT, session="a")

    got = await live.say(LONG, session="a")
    after = await live.say(SHORT, session="a")

    assert sticky_of(got) == ("bypass", "default_route")
    assert (await live.made(got))["sticky"]["why"] == "rises"
    assert after.headers["x-signalbox-tier"] == "llm"


async def test_it_falls_only_where_the_policy_lets_it(start: START) -> None:
    terms = {"session": {"sticky": True, "may_fall": True}}
    live = await start(terms, small=Upstream(), large=Upstream())
    await live.say(LONG, session="a")

    got = await live.say(SHORT, session="a")

    assert sticky_of(got) == ("bypass", "rule_match")
    assert got.headers["x-signalbox-tier"] == "slm"
    assert (await live.made(got))["sticky"]["why"] == "falls"


async def test_sessions_of_other_names_and_keys_are_apart(start: START) -> None:
    live = await start(STICKY, small=Upstream(), large=Upstream())
    await live.say(LONG, session="a")

    assert sticky_of(await live.say(SHORT, session="b"))[0] == "miss"


async def test_a_higher_data_class_begins_anew_and_says_why(start: START) -> None:
    live = await start(STICKY, small=Upstream(), large=Upstream())
    await live.say(LONG, session="a")

    got = await live.ask(**{"x-session-id": "a", "x-signalbox-data-class": "restricted"})

    assert sticky_of(got) == ("miss", "rule_match")
    assert (await live.made(got))["sticky"]["why"] == "data_class"


async def test_a_rule_that_raises_the_data_class_leaves_the_memory_aside(start: START) -> None:
    raising = {
        "id": "card",
        "name": "Card numbers",
        "when": {"all": [{"personal_data": {"contains_any": ["payment_card"]}}]},
        "then": {"route": {"tier": "slm", "targets": ["small"]}, "data_class": "restricted"},
    }
    live = await start({**STICKY, "rules": [raising]}, small=Upstream(), large=Upstream())
    await live.say(SHORT, session="a")

    got = await live.say("My card is 4111 1111 1111 1111", session="a")

    assert sticky_of(got) == ("bypass", "rule_match")
    made = await live.made(got)
    assert (made["sticky"]["why"], made["facts"]["sticky_tier"]) == ("data_class", None)


async def test_another_version_of_the_policy_begins_anew(start: START) -> None:
    small, large = Upstream(), Upstream()
    live = await start(STICKY, small=small, large=large)
    await live.say(LONG, session="a")
    document = snapshot_document({"small": small.port, "large": large.port}, **STICKY)
    document["routes"][0]["policy"]["number"] = 2
    await live.gateway.replica.adopt({**document, "digest": digest_of(document)}, keep=False)

    assert sticky_of(await live.say(SHORT, session="a"))[0] == "miss"


async def test_an_open_breaker_is_stronger_and_does_not_lower_the_session(start: START) -> None:
    large = Upstream(answer(completion()), reset)
    live = await start(STICKY, small=Upstream(), large=large)
    await live.say(LONG, session="a")
    for _ in range(5):
        live.gateway.replica.breaker("large").failed(1.0e9, is_connect_error=True)

    got = await live.say(SHORT, session="a")

    assert sticky_of(got) == ("bypass", "rule_match")
    assert (await live.made(got))["sticky"]["why"] == "breaker"
    live.gateway.replica.breaker("large")._close()
    assert (await live.say(SHORT, session="a")).headers["x-signalbox-sticky"] == "hit"


async def test_a_fallback_is_never_made_sticky(start: START) -> None:
    small = Upstream(answer(b"{}", status=500), answer(completion()))
    live = await start(STICKY, small=small, large=Upstream())

    fell = await live.say(SHORT, session="a")
    after = await live.say(SHORT, session="a")

    assert fell.headers["x-signalbox-cause"] == "fallback_error"
    assert sticky_of(after) == ("miss", "rule_match")


def broken(*_: Any) -> Any:
    raise ZeroDivisionError


def with_a_broken_classifier(live: Live) -> Scoring:
    live.gateway.replica.scoring = Scoring(broken)
    return live.gateway.replica.scoring


async def test_nothing_decided_without_the_classifier_is_sticky(start: START) -> None:
    live = await start(STICKY, small=Upstream(), large=Upstream())
    working, _ = live.gateway.replica.scoring, with_a_broken_classifier(live)

    got = await live.say(SHORT, session="a")

    assert got.status_code == 200
    made = await live.made(got)
    assert made["facts"]["classifier_failed"] is True
    assert made["sticky"]["why"] == "classifier"
    live.gateway.replica.scoring = working
    assert sticky_of(await live.say(SHORT, session="a"))[0] == "miss"


async def test_a_failing_classifier_is_left_alone_after_five_times(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())
    scoring = with_a_broken_classifier(live)
    for _ in range(5):
        await live.say(SHORT)
    calls: list[int] = []
    scoring._score = lambda *_: calls.append(1)  # type: ignore[assignment]

    got = await live.say(SHORT)

    assert calls == []
    assert (await live.made(got))["facts"]["classifier_failed"] is True


async def test_a_turn_with_nothing_to_weigh_keeps_its_conversations_score(start: START) -> None:
    by_gain = {
        "id": "by-gain",
        "name": "By gain",
        "when": {"all": [{"gain": {"present": True}}]},
        "then": {"route": {"tier": "slm", "targets": ["small"]}},
    }
    live = await start({**STICKY, "rules": [by_gain]}, small=Upstream(), large=Upstream())
    first = await live.say(SHORT, session="a")

    got = await live.say("??", session="a")

    both = [await live.made(first), await live.made(got)]
    gains = [one["decision"]["trace"]["signals"].get("gain") for one in both]
    assert gains[0] is not None
    assert gains[0] == gains[1]


def entry(at: float) -> Remembered:
    return Remembered("llm", "internal", at, at, {"gain": Decimal(0)})


@pytest.mark.parametrize(
    ("seen", "now", "is_there"),
    [(0.0, 1800.0, True), (0.0, 1800.5, False), (LONGEST_S - 60, LONGEST_S + 1, False)],
    ids=["just in time", "idle too long", "too old"],
)
def test_a_session_ends_after_its_idle_time_and_after_four_hours(
    seen: float, now: float, is_there: bool
) -> None:
    sessions, key = Sessions(), ("s", "p@1", "internal")
    remembered = entry(0.0)
    remembered.seen = seen
    sessions.keep(key, remembered)

    assert (sessions.find(key, now, 1800) is not None) is is_there


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    sessions = Sessions(most=2)
    for name in ("a", "b", "c"):
        sessions.keep((name, "p@1", "internal"), entry(0.0))

    assert len(sessions) == 2
    assert sessions.find(("a", "p@1", "internal"), 0.0, 1800) is None
