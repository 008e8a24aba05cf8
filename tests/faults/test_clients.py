"""What clients do wrong, on raw sockets against a real process: 4xx, quickly, in flat memory."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from routing.gateway import parse
from routing.gateway.errors import ApiError
from routing.services.snapshots import digest_of
from tests.faults.plant import GatewayProcess, Plant, question
from tests.faults.upstream import Upstream
from tests.routing.gateway.conftest import START, snapshot_document

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]

GOOD = json.dumps(question()).encode()


def raw(gateway: GatewayProcess, sent: bytes, *, stays: bool = False) -> bytes:
    """Send bytes as they are and return all that comes back; without ``stays`` half-closed."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as line:
        line.sendall(sent)
        if not stays:
            line.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while piece := line.recv(65536):
                got += piece
        except OSError:
            pass
    return got


def post(gateway: GatewayProcess, body: bytes, *, length: int | None = None) -> bytes:
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
        % (gateway.key.encode(), len(body) if length is None else length, body)
    )


def statuses(got: bytes) -> list[int]:
    return [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]


@pytest.fixture
def gateway(plant: Plant) -> GatewayProcess:
    return plant.gateway("clients")


def test_f34_rude_bodies_are_refused_quickly_and_leave_no_memory_behind(
    plant: Plant, gateway: GatewayProcess
) -> None:
    gateway.ask()
    before, called = gateway.pss_kb(), plant.proxies["near"].requests
    rude = {
        "deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "duplicate": b'{"model":"near","model":"near"}',
        "NUL": GOOD.replace(b"Where", b"\\u0000"),
        "surrogate": GOOD.replace(b"Where", b"\\ud800"),
        "huge": b'{"a":"' + b"x" * 4_000_000 + b'"}',
        "no JSON": b"\x00\xff" * 100,
        "empty": b"",
    }

    for _ in range(10):
        for name, body in rude.items():
            began = time.monotonic()
            [status] = statuses(raw(gateway, post(gateway, body)))
            assert 400 <= status < 500, name
            assert time.monotonic() - began < 3, name

    assert gateway.pss_kb() - before < 24_000
    assert plant.proxies["near"].requests == called


def test_f34_a_length_that_lies_never_becomes_a_request(
    plant: Plant, gateway: GatewayProcess
) -> None:
    called = plant.proxies["near"].requests

    short = raw(gateway, post(gateway, GOOD, length=len(GOOD) + 500))
    negative = raw(gateway, post(gateway, GOOD).replace(b"length: ", b"length: -"))
    both = raw(
        gateway,
        post(gateway, GOOD).replace(b"host: x", b"host: x\r\ntransfer-encoding: chunked"),
    )

    assert statuses(short) == []
    assert statuses(negative) in ([], [400])
    assert statuses(both) in ([], [400])
    assert plant.proxies["near"].requests == called


def test_f34_requests_in_one_breath_are_answered_in_order(gateway: GatewayProcess) -> None:
    three = post(gateway, GOOD) + post(gateway, b"no") + post(gateway, GOOD)

    got = raw(gateway, three, stays=True)

    assert statuses(got) == [200, 400, 200]


def test_f34_what_is_no_http_is_refused(gateway: GatewayProcess) -> None:
    assert statuses(raw(gateway, b"\x16\x03\x01\x02\x00garbage\r\n\r\n")) in ([], [400])


async def test_f34_a_body_that_never_arrives_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "BODY_S", 0.2)
    slow = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> dict[str, object]:
        for message in slow:
            return message
        await asyncio.sleep(30)
        raise AssertionError("nobody waits so long")

    with pytest.raises(ApiError) as refused:
        await parse.read_body(receive, limit=1000)

    assert (refused.value.status, refused.value.code) == (408, "request_timeout")


async def test_f35_200_at_once_at_a_limit_of_one_let_one_pass(start: START) -> None:
    small = Upstream()
    live = await start(small=small, large=Upstream())
    document = snapshot_document({"small": small.port, "large": small.port})
    document["keys"][0]["requests_per_minute"] = 1
    assert await live.gateway.replica.adopt({**document, "digest": digest_of(document)}, keep=False)

    answers = await asyncio.gather(*(live.ask() for _ in range(200)))

    assert sorted(a.status_code for a in answers) == [200] + [429] * 199
    assert len(small.bodies) == 1


def test_f33_two_approvers_at_once_and_one_of_them_wins(plant: Plant) -> None:
    version = plant.world("submit", "near")["pk"]

    with ThreadPoolExecutor(2) as pool:
        told = list(
            pool.map(
                lambda who: plant.world("judge", {"pk": version, "by": who})["told"],
                ("petra", "petra"),
            )
        )
    own = plant.world("judge", {"pk": version, "by": "arjun"})["told"]

    assert sorted(word == "ok" for word in told) == [False, True], told
    assert own != "ok"
    approvals = plant.rows(
        "SELECT count(*) FROM routing_policyapproval WHERE version_id = %s", version
    )
    assert approvals == [(1,)]


def test_health_answers_while_everything_else_is_refused(gateway: GatewayProcess) -> None:
    assert httpx.get(f"{gateway.url}/health/live", timeout=3).status_code == 200
