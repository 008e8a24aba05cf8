"""Held requests: the same request again is the same case, and who asks for it gets 202."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.faults.upstream import Upstream
from tests.routing.gateway.conftest import START, Live
from tests.routing.gateway.sse_events import kinds, named

TEXT = "May I break the contract?"


def hold_all(*, hold_s: int = 1, on_timeout: str = "safe_default") -> dict[str, Any]:
    rule = {
        "id": "ask-a-person",
        "name": "Ask a person",
        "when": {"all": [{"prompt_tokens": {"gte": 0}}]},
        "then": {"hold": {"queue": "legal", "hold_s": hold_s, "on_timeout": on_timeout}},
    }
    limits = {"deadline_ms": 20_000, "first_token_ms": 800, "stream_idle_ms": 800, "attempts": 3}
    return {"rules": [rule], "limits": limits}


pytestmark = pytest.mark.usefixtures("threads")


@pytest.fixture
def unique() -> str:
    """A text of this test alone: the database is shared and repeats are found in it."""
    return f"{TEXT} {uuid.uuid4().hex}"


async def in_database(work: Any) -> Any:
    from routing.gateway.replica import in_thread

    return await in_thread(work)


async def answer(live: Live, decision_id: str, text: str) -> None:
    """A reviewer's word, by the service that review calls."""
    from audit import payloads
    from routing.services import holds

    identity = uuid.UUID(decision_id)
    sealed = payloads.seal(
        text.encode(), decision_id=identity, kind="answer", key=payloads.payload_key()
    )

    def give() -> None:
        payloads.store(sealed)
        holds.answer_hold(decision_id=identity, disposition="answer", answer_payload=sealed.id)

    await in_database(give)


async def held(text: str) -> list[str]:
    """The decisions that have a hold of their own with this text, oldest first."""
    from audit import payloads
    from routing.models import Hold

    def read() -> list[str]:
        found = Hold.objects.order_by("opened_at")
        return [
            str(hold.pk)
            for hold in found
            if text.encode() in payloads.open_payload(hold.request_payload)
        ]

    return list(await in_database(read))


async def waiting(text: str) -> str:
    async with asyncio.timeout(5):
        while not (found := await held(text)):
            await asyncio.sleep(0.05)
    return found[0]


async def test_a_repeat_waits_for_the_same_person_and_gets_the_same_answer(
    start: START, unique: str
) -> None:
    live = await start(hold_all(hold_s=10), small=Upstream(), large=Upstream())
    first = asyncio.create_task(live.say(unique))
    decision = await waiting(unique)
    second = asyncio.create_task(live.say(unique))
    await asyncio.sleep(0.3)

    await answer(live, decision, "You may not.")
    both = await asyncio.gather(first, second)

    assert [got.json()["choices"][0]["message"]["content"] for got in both] == ["You may not."] * 2
    assert await held(unique) == [decision]
    assert both[0].headers["x-signalbox-decision-id"] == decision
    assert both[1].headers["x-signalbox-decision-id"] != decision
    [end] = await live.ends(both[1])
    assert end["kind"] == "decision.completed"
    assert end["details"]["review"]["hold"] == decision


async def test_the_answer_is_there_when_the_request_comes_again(start: START, unique: str) -> None:
    live = await start(hold_all(on_timeout="pending"), small=Upstream(), large=Upstream())
    pending = await live.say(unique)
    decision = pending.headers["x-signalbox-decision-id"]
    await answer(live, decision, "You may not.")

    again = await live.say(unique)

    assert (pending.status_code, pending.json()["error"]["code"]) == (409, "human_review_pending")
    assert pending.headers["x-should-retry"] == "false"
    assert again.json()["choices"][0]["message"]["content"] == "You may not."
    assert await held(unique) == [decision]


async def test_a_pending_answer_is_fetched_by_its_address_and_only_by_its_key(
    start: START, unique: str
) -> None:
    live = await start(hold_all(on_timeout="pending"), small=Upstream(), large=Upstream())
    pending = await live.say(unique)
    place = pending.headers["location"]

    before = await live.client.get(place)
    await answer(live, pending.headers["x-signalbox-decision-id"], "You may not.")
    after = await live.client.get(place)
    live.add_key("other-key")
    other = await live.client.get(place, headers={"authorization": "Bearer other-key"})

    assert before.json()["status"] == "queued"
    assert after.json()["status"] == "completed"
    assert after.json()["output"][0]["content"][0]["text"] == "You may not."
    assert (other.status_code, other.json()["error"]["param"]) == (404, "response_id")


@pytest.mark.parametrize(
    "changed",
    [{"session": "another"}, {"temperature": 0.5}],
    ids=["another session", "another body"],
)
async def test_what_is_not_the_same_is_another_case(
    start: START, unique: str, changed: dict[str, Any]
) -> None:
    live = await start(hold_all(on_timeout="pending"), small=Upstream(), large=Upstream())

    await live.say(unique)
    await live.say(unique, **changed)

    assert len(await held(unique)) == 2


async def test_after_its_window_a_repeat_is_a_new_case(start: START, unique: str) -> None:
    from routing.models import Hold

    live = await start(hold_all(on_timeout="pending"), small=Upstream(), large=Upstream())
    first = await live.say(unique)
    decision = first.headers["x-signalbox-decision-id"]
    ago = timezone.now() - timedelta(seconds=1)
    await in_database(lambda: Hold.objects.filter(pk=decision).update(repeats_until=ago))

    await live.say(unique)

    assert len(await held(unique)) == 2


async def test_many_repeats_at_once_are_one_case(start: START, unique: str) -> None:
    live = await start(hold_all(on_timeout="pending"), small=Upstream(), large=Upstream())

    answers = await asyncio.gather(*(live.say(unique) for _ in range(8)))

    assert {got.status_code for got in answers} == {409}
    assert len(await held(unique)) == 1
    for got in answers:
        assert [end["kind"] for end in await live.ends(got)] == ["decision.held"]


async def test_whoever_asks_for_it_gets_202_and_a_whole_body(start: START, unique: str) -> None:
    live = await start(hold_all(hold_s=10), small=Upstream(), large=Upstream())
    body = {"model": "support", "messages": [{"role": "user", "content": unique}]}

    got = await live.post("/v1/chat/completions", body, prefer="respond-async, wait=0")

    assert got.status_code == 202
    assert got.headers["preference-applied"] == "respond-async"
    assert int(got.headers["retry-after"]) > 0
    decision = got.headers["x-signalbox-decision-id"]
    assert got.headers["location"] == f"/v1/responses/resp_{decision.replace('-', '')}"
    assert got.json()["choices"][0]["message"]["content"] == "A colleague will answer shortly."
    assert got.json()["review"]["status"] == "pending"
    await answer(live, decision, "You may not.")
    later = await live.client.get(got.headers["location"])
    assert later.json()["output"][0]["content"][0]["text"] == "You may not."


async def test_in_time_the_preference_changes_nothing(start: START, unique: str) -> None:
    live = await start(hold_all(hold_s=10), small=Upstream(), large=Upstream())
    body = {"model": "support", "messages": [{"role": "user", "content": unique}]}
    asking = asyncio.create_task(
        live.post("/v1/chat/completions", body, prefer="respond-async, wait=8")
    )

    await answer(live, await waiting(unique), "You may not.")

    got = await asking
    assert (got.status_code, got.json()["choices"][0]["message"]["content"]) == (
        200,
        "You may not.",
    )


async def test_a_held_message_is_answered_in_the_shape_of_messages(
    start: START, unique: str
) -> None:
    live = await start(hold_all(), small=Upstream(), large=Upstream())
    body = {
        "model": "support",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": unique}],
        "stream": True,
    }

    got = await live.post("/v1/messages", body)

    events = named(got.text)
    assert kinds(events)[0] == "message_start"
    assert kinds(events)[-1] == "message_stop"
    assert "A colleague will answer shortly." in got.text


async def cancel(live: Live, decision: str) -> Any:
    from routing.gateway.surfaces.shapes import response_id

    place = f"/v1/responses/{response_id(uuid.UUID(decision))}/cancel"
    return await live.client.post(place)


async def test_who_repeats_a_request_that_is_cancelled_is_held_anew(
    start: START, unique: str
) -> None:
    live = await start(hold_all(hold_s=15), small=Upstream(), large=Upstream())
    first = asyncio.create_task(live.say(unique))
    decision = await waiting(unique)
    second = asyncio.create_task(live.say(unique))
    await asyncio.sleep(0.3)

    await cancel(live, decision)
    cancelled = await first
    async with asyncio.timeout(5):
        while len(cases := await held(unique)) < 2:
            await asyncio.sleep(0.05)
    await answer(live, cases[1], "You may not.")
    answered = await second

    assert (cancelled.status_code, cancelled.json()["error"]["code"]) == (409, "request_cancelled")
    assert cancelled.headers["x-should-retry"] == "false"
    ends = {end["kind"]: end for end in await live.ends(cancelled)}
    assert set(ends) == {"response.cancelled", "decision.aborted"}
    assert ends["decision.aborted"]["details"]["error_code"] == "cancelled"
    assert answered.json()["choices"][0]["message"]["content"] == "You may not."
    assert answered.headers["x-signalbox-decision-id"] == cases[1]


async def test_the_same_request_after_a_cancel_is_a_new_case(start: START, unique: str) -> None:
    live = await start(hold_all(on_timeout="pending"), small=Upstream(), large=Upstream())
    pending = await live.say(unique)
    await cancel(live, pending.headers["x-signalbox-decision-id"])

    again = await live.say(unique)

    assert again.json()["error"]["code"] == "human_review_pending"
    assert len(await held(unique)) == 2
