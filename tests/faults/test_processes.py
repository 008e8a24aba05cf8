"""Processes and connections that die in the middle: what a client saw is recorded, once.

Each test is named after its case: where the process is killed, or what of the database is lost.
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from typing import Any

import httpx
import psycopg
import pytest

from tests.faults.clients import ABORTED, COMPLETED, MADE, UNKNOWN, Clients, visits
from tests.faults.plant import GatewayProcess, Plant, eventually
from tests.faults.proxy import Line
from tests.faults.world import policy

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.xdist_group("faults")]


def test_f1_killed_before_the_decision_is_recorded_nothing_has_happened(
    plant: Plant, line: Line, gateway: GatewayProcess, clients: Clients
) -> None:
    plant.background.soon(line.hold, "up")
    waiting = clients.ask("f1", "away")
    time.sleep(1)

    gateway.kill()
    plant.background.soon(line.cut)
    plant.background.soon(line.release)

    assert waiting.result(20) == (0, "")
    assert plant.kinds(request_id="f1") == []
    assert visits(plant, "f1") == 0


def test_f2_killed_after_it_and_before_dispatch_the_reaper_ends_it(
    plant: Plant, line: Line, gateway: GatewayProcess, clients: Clients
) -> None:
    plant.background.soon(line.hold, "down")
    waiting = clients.ask("f2", "away")
    eventually(lambda: plant.kinds(request_id="f2") == [MADE])

    gateway.kill()
    plant.background.soon(line.cut)
    plant.background.soon(line.release)

    assert waiting.result(20)[0] == 0
    assert visits(plant, "f2") == 0
    assert plant.reaped("f2") == [MADE, UNKNOWN]


def test_f3_killed_while_the_backend_works_the_reaper_ends_it(
    plant: Plant, gateway: GatewayProcess, clients: Clients
) -> None:
    plant.backends["near"].hangs = True
    waiting = clients.ask("f3")
    eventually(lambda: visits(plant, "f3") == 1 and plant.kinds(request_id="f3") == [MADE])

    gateway.kill()

    assert waiting.result(20)[0] == 0
    assert plant.reaped("f3") == [MADE, UNKNOWN]


def test_f4_killed_in_a_stream_it_was_recorded_and_is_never_called_complete(
    plant: Plant, gateway: GatewayProcess, clients: Clients
) -> None:
    plant.backends["near"].pace_s = 0.4
    seen: list[str] = []
    streaming = clients.stream("f4", lambda text: bool(seen.append(text)))
    eventually(lambda: seen and "word1" in seen[-1])

    gateway.kill()

    status, text = streaming.result(20)
    assert (status, "[DONE]" in text) == (200, False)
    assert plant.kinds(request_id="f4") == [MADE]
    assert plant.reaped("f4") == [MADE, UNKNOWN]


def test_f5_killed_after_the_end_is_recorded_it_is_complete_though_the_client_is_cut(
    plant: Plant, line: Line, gateway: GatewayProcess, clients: Clients
) -> None:
    plant.background.call(_hold_after(line, 1))
    streaming = clients.stream("f5")
    eventually(lambda: COMPLETED in plant.kinds(request_id="f5"))

    gateway.kill()
    plant.background.soon(line.cut)

    status, text = streaming.result(20)
    assert (status, "[DONE]" in text) == (200, False)
    assert plant.kinds(request_id="f5") == [MADE, COMPLETED]


async def _hold_after(line: Line, pieces: int) -> None:
    line.hold("down", after=pieces)


def test_f6_killed_with_a_full_batch_what_was_answered_is_there_and_the_rest_at_most_once(
    plant: Plant, line: Line, gateway: GatewayProcess, clients: Clients
) -> None:
    asked = {f"f6-{number}": clients.ask(f"f6-{number}") for number in range(40)}
    time.sleep(0.3)
    plant.background.soon(line.hold, "up")
    asked |= {f"f6-{number}": clients.ask(f"f6-{number}") for number in range(40, 104)}
    time.sleep(1)

    gateway.kill()
    plant.background.soon(line.cut)

    answered = {name for name, future in asked.items() if future.result(30)[0] == 200}
    counts = {name: Counter(plant.kinds(request_id=name)) for name in asked}
    assert all(counts[name] == {MADE: 1, COMPLETED: 1} for name in answered)
    assert all(number == 1 for count in counts.values() for number in count.values())
    assert len(answered) < 104


def test_f12_a_client_that_leaves_before_the_first_byte_ends_the_backends_work(
    plant: Plant, gateway: GatewayProcess
) -> None:
    plant.backends["near"].hangs = True
    hung_up = plant.backends["near"].hung_up

    with pytest.raises(httpx.TimeoutException):
        gateway.ask("near", timeout_s=1, **{"x-request-id": "f12"})

    eventually(lambda: plant.kinds(request_id="f12") == [MADE, ABORTED])
    eventually(lambda: plant.backends["near"].hung_up > hung_up)
    assert plant.end_of("f12")["details"]["error_code"] == "client_gone"


def test_f12_a_client_that_leaves_in_the_stream_is_recorded_with_what_it_used(
    plant: Plant, clients: Clients
) -> None:
    plant.backends["near"].pace_s = 0.3

    clients.stream("f12-stream", lambda text: "word2" in text).result(20)

    eventually(lambda: plant.kinds(request_id="f12-stream") == [MADE, ABORTED])
    details = plant.end_of("f12-stream")["details"]
    assert details["error_code"] == "client_gone"
    assert details["output_tokens"] >= 2


def test_f31_what_is_stopped_between_decision_and_dispatch_is_not_sent(
    plant: Plant, line: Line, gateway: GatewayProcess, clients: Clients
) -> None:
    plant.background.soon(line.hold, "down")
    waiting = clients.ask("f31", "away")
    eventually(lambda: plant.kinds(request_id="f31") == [MADE])
    before = gateway.ready()["digest"]
    with psycopg.connect(plant.url("signalbox_app")) as connection:
        [(person,)] = connection.execute("SELECT min(id) FROM accounts_user").fetchall()
        connection.execute(
            "INSERT INTO routing_killswitch (scope, target, reason, engaged_at, engaged_by_id) "
            "VALUES ('public', '', 'test', now(), %s)",
            (person,),
        )
    try:
        eventually(lambda: gateway.ready()["digest"] != before, 2)
        plant.background.soon(line.release)
        waiting.result(20)
        kinds = eventually(
            lambda: len(plant.kinds(request_id="f31")) == 2 and plant.kinds(request_id="f31")
        )
    finally:
        with psycopg.connect(plant.url("signalbox_app")) as connection:
            connection.execute("UPDATE routing_killswitch SET released_at = now()")

    assert visits(plant, "f31") == 0
    assert kinds[0] == MADE
    assert kinds[1] in {"decision.blocked", "decision.failed"}


def test_f32_a_policy_activated_in_mid_request_leaves_that_request_on_its_version(
    plant: Plant, gateway: GatewayProcess, clients: Clients
) -> None:
    before = gateway.ask("near").headers["x-signalbox-policy"]
    plant.backends["near"].pace_s = plant.backends["spare"].pace_s = 0.35
    seen: list[str] = []
    streaming = clients.stream("f32", lambda text: bool(seen.append(text)))
    eventually(lambda: seen)

    limits = {"deadline_ms": 7000, "first_token_ms": 4000, "stream_idle_ms": 3000, "attempts": 3}
    document = policy("near", target="near", then="spare", limits=limits)
    plant.world("activate", {"slug": "near", "document": document})
    status, text = streaming.result(20)

    assert (status, text.endswith("[DONE]\n\n")) == (200, True)
    [(made,)] = plant.rows(
        "SELECT convert_from(body, 'UTF8')::json FROM audit.event "
        "WHERE request_id = 'f32' AND kind = 'decision.made'"
    )
    assert made["details"]["policy"] == before
    plant.backends["near"].pace_s = plant.backends["spare"].pace_s = 0
    eventually(lambda: gateway.ask("near").headers["x-signalbox-policy"] != before, 5)


def test_f40_a_rolling_stop_drains_within_its_grace_and_ends_the_rest(plant: Plant) -> None:
    alone = plant.gateway("rolling", grace_s=3)
    clients = Clients(alone)
    plant.backends["near"].pace_s = 0.15
    short = [clients.stream(f"f40-short-{number}") for number in range(4)]
    eventually(lambda: all(visits(plant, f"f40-short-{n}") for n in range(4)))
    plant.backends["near"].pace_s = 1.0
    long = [clients.stream(f"f40-long-{number}") for number in range(4)]
    eventually(lambda: all(visits(plant, f"f40-long-{n}") for n in range(4)))
    plant.backends["near"].hangs = True
    whole = clients.ask("f40-whole")
    eventually(lambda: visits(plant, "f40-whole"))

    began = time.monotonic()
    alone.kill(signal.SIGTERM)
    alone.ended(20)

    assert time.monotonic() - began < 12
    assert all("[DONE]" in one.result(20)[1] for one in short)
    assert not any("[DONE]" in one.result(20)[1] for one in long)
    for number in range(4):
        assert plant.kinds(request_id=f"f40-short-{number}") == [MADE, COMPLETED]
        assert plant.kinds(request_id=f"f40-long-{number}") == [MADE, ABORTED]
    why: dict[str, Any] = plant.end_of("f40-long-0")["details"]
    assert why["error_code"] == "router_stopped"
    status, text = whole.result(20)
    assert (status, json.loads(text)["error"]["code"]) == (503, "router_stopped")
    assert plant.kinds(request_id="f40-whole") == [MADE, ABORTED]
