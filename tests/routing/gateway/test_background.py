"""Responses in the background: one id at once, one end whatever happens, seen by one key."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from tests.faults.upstream import Upstream, answer, completion, silence
from tests.routing.gateway.conftest import KEY, START, Live
from tests.routing.gateway.test_held import answer as answer_hold
from tests.routing.gateway.test_held import hold_all, in_database

pytestmark = pytest.mark.usefixtures("threads")


async def begin(live: Live, **more: Any) -> Any:
    text = f"Where is my parcel? {uuid.uuid4().hex}"
    return await live.post(
        "/v1/responses", {"model": "support", "input": text, "background": True, **more}
    )


async def ended(live: Live, response: dict[str, Any]) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            got = (await live.client.get(f"/v1/responses/{response['id']}")).json()
            if got["status"] not in {"queued", "in_progress"}:
                return dict(got)
            await asyncio.sleep(0.05)


async def test_it_is_answered_at_once_and_completed_later(
    start: START, caplog: pytest.LogCaptureFixture
) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await begin(live, metadata={"case": "7"}, instructions="Be brief.")
    done = await ended(live, got.json())
    await asyncio.gather(*live.gateway.background.values())

    assert [one for one in caplog.records if one.levelname == "ERROR"] == []
    assert (got.status_code, got.json()["status"]) == (200, "in_progress")
    assert got.headers["location"] == f"/v1/responses/{got.json()['id']}"
    assert done["status"] == "completed"
    assert done["output"][0]["content"][0]["text"] == "fine"
    assert (done["background"], done["metadata"]) == (True, {"case": "7"})
    assert done["usage"]["total_tokens"] == 11
    [end] = await live.ends(got)
    assert end["kind"] == "decision.completed"


async def test_nothing_is_sent_on_the_connection_that_has_had_its_answer(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        body = b'{"model": "support", "input": "Where is it?", "background": true}'
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {KEY}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/responses", "headers": headers}
    await live.gateway(scope, receive, send)
    await asyncio.gather(*live.gateway.background.values())

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_a_failure_is_a_failed_response_with_its_code(start: START) -> None:
    bad = answer(b"{}", status=500)
    live = await start(small=Upstream(bad), large=Upstream(bad))

    got = await begin(live)
    done = await ended(live, got.json())

    assert (done["status"], done["error"]["code"]) == ("failed", "upstream_error")
    [end] = await live.ends(got)
    assert end["kind"] == "decision.failed"


async def test_an_answer_that_was_cut_is_incomplete(start: START) -> None:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Hel"},
        "finish_reason": "length",
    }
    live = await start(small=Upstream(answer(completion(choices=[choice]))), large=Upstream())

    done = await ended(live, (await begin(live)).json())

    assert (done["status"], done["incomplete_details"]) == (
        "incomplete",
        {"reason": "max_output_tokens"},
    )


async def test_what_waits_for_a_person_is_queued_and_then_completed(start: START) -> None:
    live = await start(hold_all(), small=Upstream(), large=Upstream())

    got = await begin(live)
    place = f"/v1/responses/{got.json()['id']}"
    await asyncio.sleep(1.2)  # longer than the rule holds a connection
    between = (await live.client.get(place)).json()
    await answer_hold(live, got.headers["x-signalbox-decision-id"], "It is lost.")
    done = await ended(live, got.json())

    assert (got.json()["status"], between["status"]) == ("queued", "queued")
    assert done["status"] == "completed"
    assert done["output"][0]["content"][0]["text"] == "It is lost."
    [end] = await live.ends(got)
    assert end["kind"] == "decision.held"


async def test_cancelling_stops_the_call_and_stays_cancelled(start: START) -> None:
    from routing.gateway import background

    small = Upstream(silence)
    live = await start(small=small, large=Upstream())
    got = await begin(live)
    place = f"/v1/responses/{got.json()['id']}"
    decision = got.headers["x-signalbox-decision-id"]

    cancelled = await live.client.post(f"{place}/cancel")
    # The listener does this on the notification; here there is none.
    await background.stop_if_cancelled(live.gateway, decision)
    await asyncio.gather(*live.gateway.background.values())
    again = await live.client.post(f"{place}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert (await live.client.get(place)).json()["status"] == "cancelled"
    assert again.json()["status"] == "cancelled"
    assert sorted(await _kinds(live, got)) == ["decision.aborted", "response.cancelled"]
    assert not live.gateway.background


async def test_cancelling_what_waits_takes_it_from_the_reviewers(start: START) -> None:
    from routing.models import Hold

    live = await start(hold_all(), small=Upstream(), large=Upstream())
    got = await begin(live)
    place = f"/v1/responses/{got.json()['id']}"
    await asyncio.gather(*live.gateway.background.values())

    cancelled = await live.client.post(f"{place}/cancel")

    assert cancelled.json()["status"] == "cancelled"
    decision = got.headers["x-signalbox-decision-id"]
    hold = await in_database(lambda: Hold.objects.get(pk=decision))
    assert hold.state == "cancelled"


async def test_cancelling_one_of_two_that_wait_for_the_same_person_leaves_the_other(
    start: START,
) -> None:
    live = await start(hold_all(), small=Upstream(), large=Upstream())
    same = {"input": f"Where is my parcel? {uuid.uuid4().hex}"}
    first, second = await begin(live, **same), await begin(live, **same)
    await asyncio.gather(*live.gateway.background.values())

    cancelled = await live.client.post(f"/v1/responses/{first.json()['id']}/cancel")
    between = await live.client.get(f"/v1/responses/{second.json()['id']}")
    await answer_hold(live, first.headers["x-signalbox-decision-id"], "It is lost.")
    done = await ended(live, second.json())

    assert cancelled.json()["status"] == "cancelled"
    assert between.json()["status"] == "queued"
    assert done["output"][0]["content"][0]["text"] == "It is lost."
    assert (await live.client.get(f"/v1/responses/{first.json()['id']}")).json()["status"] == (
        "cancelled"
    )


async def test_one_that_joins_a_case_as_it_is_cancelled_gets_its_own(
    start: START, monkeypatch: pytest.MonkeyPatch
) -> None:
    from routing.services import holds, responses

    live = await start(hold_all(), small=Upstream(), large=Upstream())
    same = {"input": f"Where is my parcel? {uuid.uuid4().hex}"}
    first = await begin(live, **same)
    await asyncio.gather(*live.gateway.background.values())
    whole = holds.joined

    def joined_then_cancelled(decision_id: uuid.UUID, repeat_key: str) -> uuid.UUID:
        found = whole(decision_id, repeat_key)
        if found != decision_id:
            responses.cancel_response(decision_id=found, client_id="abcdefgh", client="x")
        return found

    monkeypatch.setattr(holds, "joined", joined_then_cancelled)
    second = await begin(live, **same)
    await asyncio.gather(*live.gateway.background.values())
    await answer_hold(live, second.headers["x-signalbox-decision-id"], "It is lost.")
    done = await ended(live, second.json())

    assert (await live.client.get(f"/v1/responses/{first.json()['id']}")).json()["status"] == (
        "cancelled"
    )
    assert done["output"][0]["content"][0]["text"] == "It is lost."
    assert "response.held_anew" in await _kinds(live, second)


async def test_what_has_ended_is_not_cancelled(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())
    got = await begin(live)
    await ended(live, got.json())

    cancelled = await live.client.post(f"/v1/responses/{got.json()['id']}/cancel")

    assert cancelled.json()["status"] == "completed"
    assert await _kinds(live, got) == ["decision.completed"]


async def test_a_process_that_dies_leaves_a_failed_response_and_its_event(start: START) -> None:
    from audit import sealing
    from routing.models import Decision
    from routing.services import reaper

    live = await start(small=Upstream(silence), large=Upstream())
    got = await begin(live)
    decision = got.headers["x-signalbox-decision-id"]
    [task] = live.gateway.background.values()
    long_ago = timezone.now() - timedelta(hours=1)

    def die() -> None:
        # What the sequencer projects of a decision without an end.
        Decision.objects.create(
            id=decision,
            at=long_ago,
            deadline_at=long_ago,
            route="support",
            client="app",
            client_id="abcdefgh",
            request_id="r",
            policy="support@1",
            policy_digest="sha256:0",
            rule="narrow-work",
            cause="rule_match",
            action="route",
            data_class="internal",
        )
        reaper.reap()
        Decision.objects.filter(pk=decision).delete()

    await in_database(die)

    got_later = (await live.client.get(f"/v1/responses/{got.json()['id']}")).json()
    assert (got_later["status"], got_later["error"]["code"]) == ("failed", "server_error")
    assert await _kinds(live, got) == ["decision.outcome_unknown"]
    assert sealing.terminal_id(uuid.UUID(decision))
    task.cancel()


async def test_its_text_is_stored_encrypted_and_erased_when_its_time_is_up(start: START) -> None:
    from routing.models import StoredResponse
    from routing.services import responses

    live = await start(small=Upstream(), large=Upstream())
    got = await begin(live, instructions="Canary 7731.")
    done = await ended(live, got.json())
    decision = got.headers["x-signalbox-decision-id"]
    stored = await _payloads(live, decision)
    await in_database(
        lambda: StoredResponse.objects.filter(pk=decision).update(expires_at=timezone.now())
    )

    await in_database(responses.erase_expired)

    assert done["instructions"] == "Canary 7731."
    assert stored
    assert not any(b"Canary" in text for text in stored)
    assert await _payloads(live, decision) == []
    gone = await live.client.get(f"/v1/responses/{got.json()['id']}")
    assert gone.status_code == 404


async def test_another_key_sees_nothing_and_cancels_nothing(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())
    got = await begin(live)
    place = f"/v1/responses/{got.json()['id']}"
    await ended(live, got.json())
    live.add_key("other-key")
    headers = {"authorization": "Bearer other-key"}

    seen = await live.client.get(place, headers=headers)
    cancelled = await live.client.post(f"{place}/cancel", headers=headers)

    assert (seen.status_code, cancelled.status_code) == (404, 404)


@pytest.mark.parametrize("wanted", ["resp_1", "resp_" + "0" * 32, "msg_x", "", "..%2Fmodels"])
async def test_what_is_no_response_is_404(start: START, wanted: str) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await live.client.get(f"/v1/responses/{wanted}")

    assert got.status_code == 404


async def _kinds(live: Live, got: Any) -> list[str]:
    return [end["kind"] for end in await live.ends(got)]


async def _payloads(live: Live, decision: str) -> list[bytes]:
    async with await psycopg.AsyncConnection.connect(live._dsn) as connection:
        rows = await connection.execute(
            "SELECT ciphertext FROM audit.payload WHERE decision_id = %s AND kind = 'response'",
            (decision,),
        )
        return [bytes(text) for (text,) in await rows.fetchall()]
