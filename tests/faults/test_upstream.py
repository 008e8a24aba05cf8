"""What backends do wrong, and what must happen then: each fault on a real socket, by our proxy."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import proxy
from tests.faults.backend import Backend
from tests.faults.proxy import Fault, Proxy, cut, drip, endless, instead, rewrite, silence, status
from tests.faults.upstream import Upstream, completion, event, head
from tests.routing.gateway.conftest import START, Live, snapshot_document

pytestmark = pytest.mark.faults

MARK = "<script>canary-77</script>"


@pytest.fixture
async def real() -> AsyncIterator[tuple[str, int]]:
    """A well-behaved backend for the proxies to stand in front of."""
    backend = Backend()
    await backend.start()
    yield ("127.0.0.1", backend.port)
    await backend.stop()


def resident_kb() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise LookupError("VmRSS")


async def attempts(live: Live, got: Any) -> list[tuple[str, str, str | None]]:
    [end] = await live.ends(got)
    return [(a["backend"], a["kind"], a["problem"]) for a in end["details"]["attempts"]]


async def kind_of_end(live: Live, got: Any) -> str:
    [end] = await live.ends(got)
    return str(end["kind"])


# F20


async def test_f20_a_slow_loris_is_left_and_another_backend_of_the_chain_answers(
    start: START, real: tuple[str, int]
) -> None:
    slow = Proxy(drip(1.5, after=120), target=real)
    live = await start(small=slow, large=Proxy(target=real))

    got = await live.ask(stream=True)

    assert "[DONE]" in got.text
    assert await attempts(live, got) == [
        ("small", "first", "timeout"),
        ("large", "fallback", None),
    ]


async def test_f20_dripping_under_the_idle_clock_does_not_outlive_the_deadline(
    start: START, real: tuple[str, int]
) -> None:
    slow = Proxy(drip(0.2), target=real)
    live = await start({"fallbacks": {}}, small=slow, large=Proxy(target=real))
    began = time.monotonic()

    got = await live.ask()

    assert (got.status_code, got.json()["error"]["code"]) == (504, "upstream_timeout")
    assert time.monotonic() - began < 4


# F21


async def test_f21_a_backend_that_never_answers_is_left_and_its_breaker_opens(
    start: START, real: tuple[str, int]
) -> None:
    mute = Proxy(silence, target=real)
    live = await start(small=mute, large=Proxy(target=real))

    answers = await asyncio.gather(*(live.ask(stream=True) for _ in range(24)))
    asked = mute.requests
    after = await live.ask(stream=True)

    assert {got.headers["x-signalbox-backend"] for got in answers} == {"large"}
    assert live.gateway.replica.breaker("small").state(time.monotonic()) == "open"
    assert live.gateway.replica.breaker("large").state(time.monotonic()) == "closed"
    assert after.status_code == 200
    assert mute.requests == asked


# F22


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_f22_half_a_stream_ends_with_an_error_and_nobody_elses_words(
    start: START, real: tuple[str, int], how: str
) -> None:
    large = Proxy(target=real)
    live = await start(small=Proxy(cut(420, how=how), target=real), large=large)

    got = await live.ask(stream=True)

    assert "word0" in got.text
    assert "[DONE]" not in got.text
    last = json.loads(got.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["code"] == "upstream_error"
    assert large.requests == 0
    [end] = await live.ends(got)
    assert end["kind"] == "decision.failed"
    assert end["details"]["output_tokens"] > 0


async def test_f22_an_end_without_a_finish_reason_is_no_end(
    start: START, real: tuple[str, int]
) -> None:
    without = rewrite(lambda whole: whole.replace(b'"finish_reason": "stop"', b'"x": 1'))
    live = await start(small=Proxy(without, target=real), large=Proxy(target=real))

    got = await live.ask(stream=True)

    assert "[DONE]" not in got.text
    assert await kind_of_end(live, got) == "decision.failed"


async def test_f22_a_half_open_connection_in_the_stream_is_given_up(
    start: START, real: tuple[str, int]
) -> None:
    live = await start(small=Proxy(cut(420, how="hang"), target=real), large=Proxy(target=real))
    began = time.monotonic()

    got = await live.ask(stream=True)

    assert "[DONE]" not in got.text
    assert time.monotonic() - began < 4
    assert await kind_of_end(live, got) == "decision.failed"


# F23


@pytest.mark.parametrize(
    "retry_after",
    ["1", "Wed, 21 Oct 2099 07:28:00 GMT", "999999999999", "-5", "nan", "inf", "1e999", "soon"],
)
async def test_f23_a_storm_of_429_is_answered_politely_and_not_multiplied(
    start: START, real: tuple[str, int], retry_after: str
) -> None:
    busy = Proxy(status(429, retry_after=retry_after), target=real)
    other = Proxy(status(429, retry_after=retry_after), target=real)
    live = await start({"fallbacks": {}}, small=busy, large=other)
    began = time.monotonic()

    answers = [await live.ask() for _ in range(10)]

    # Once both rest, the policy's own safe default answers.
    refused = [a for a in answers if a.headers["x-signalbox-outcome"] != "safe_default"]
    assert refused
    assert {got.status_code for got in refused} == {503}
    assert all(1 <= int(got.headers["retry-after"]) <= 60 for got in refused)
    # One retry a request, within a budget of a tenth and a small allowance.
    assert busy.requests + other.requests <= 10 + 10
    assert time.monotonic() - began < 20


# F24


@pytest.mark.parametrize("code", [500, 502, 503])
async def test_f24_errors_everywhere_inside_never_widen_the_way_to_a_public_backend(
    start: START, real: tuple[str, int], code: int
) -> None:
    cloud = Proxy(target=real)
    chain = {
        "fallbacks": {"failure": {"small": ["large", "cloud"]}},
        "signoffs": {"internal": int(time.time()) + 600},
    }
    broken = {name: Proxy(status(code), target=real) for name in ("small", "large")}
    live = await start(chain, **broken, cloud=cloud)

    got = await live.ask()

    assert got.status_code in {502, 503}
    assert cloud.requests == 0
    assert {a[0] for a in await attempts(live, got)} == {"small", "large"}


# F25


def spoilt() -> dict[str, Fault]:
    text = MARK.encode()
    page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n%b"
    return {
        "error object": instead(head(200, length=24 + 0) + b'{"error": {"code": 12}} '),
        "html": instead(page % (len(text), text)),
        "empty": instead(head(200, length=0)),
        "invalid utf-8": instead(head(200, length=4) + b'"\xff\xfe"'),
        "garbage": instead(b"\x00\x01" + text + b"\r\n\r\n"),
        "length too long": rewrite(lambda w: w.replace(b"content-length: ", b"content-length: 9")),
        "length too short": rewrite(lambda w: w.replace(b"content-length: ", b"content-length: 1")),
        "two lengths": instead(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 5\r\n\r\n{}" + text
        ),
    }


@pytest.mark.parametrize("how", list(spoilt()))
async def test_f25_a_bad_200_is_a_failure_and_nothing_of_it_is_shown(
    start: START, real: tuple[str, int], how: str
) -> None:
    bad = Proxy(spoilt()[how], target=real)
    live = await start({"fallbacks": {}}, small=bad, large=Proxy(target=real))

    got = await live.ask()

    assert got.status_code in {502, 504}
    assert "canary-77" not in got.text
    assert await kind_of_end(live, got) == "decision.failed"


@pytest.mark.parametrize(
    "spoil",
    [b'data: {"error":{"message":"canary-77"}}\n\n', b"data: canary-77\n\n", b"data: []\n\n"],
    ids=["error", "no JSON", "no object"],
)
async def test_f25_an_error_inside_the_stream_is_a_failure(
    start: START, real: tuple[str, int], spoil: bytes
) -> None:
    first = head(200, length=None, kind="text/event-stream")
    live = await start(
        {"fallbacks": {}}, small=Proxy(instead(first + spoil), target=real), large=Upstream()
    )

    got = await live.ask(stream=True)

    assert got.status_code == 502
    assert "canary-77" not in got.text


# F26


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        (endless(b"x" * 65536), False),
        (endless(b"data: " + b"x" * 65536, kind="text/event-stream"), True),
        (endless(event("more") * 200, kind="text/event-stream", limit=1 << 27), True),
        (instead(b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 100_000 + b"\r\n"), False),
        (instead(b"HTTP/1.1 200 OK\r\nx-long: " + b"y" * 2_000_000 + b"\r\n\r\n"), False),
        (
            instead(
                head(
                    200,
                    length=len(gzip.compress(bytes(1 << 25))),
                    more="content-encoding: gzip\r\n",
                )
                + gzip.compress(bytes(1 << 25))
            ),
            False,
        ),
    ],
    ids=["endless", "one endless line", "endless stream", "headers", "one header", "gzip bomb"],
)
async def test_f26_an_answer_without_end_is_cut_in_bounded_memory(
    start: START, real: tuple[str, int], fault: Fault, stream: bool
) -> None:
    live = await start({"fallbacks": {}}, small=Proxy(fault, target=real), large=Upstream())
    before, began = resident_kb(), time.monotonic()

    got = await live.ask(stream=stream)

    assert time.monotonic() - began < 8
    assert "[DONE]" not in got.text
    assert await kind_of_end(live, got) == "decision.failed"
    # The test's own client holds what it was sent; the router passes on and forgets.
    assert resident_kb() - before - len(got.content) * 3 / 1024 < 96_000


# F27


async def test_f27_a_name_that_does_not_resolve_is_a_failure_like_another(
    start: START, real: tuple[str, int]
) -> None:
    live = await start(small=Upstream(), large=Proxy(target=real))
    document = moved(live, "http://no-such-host.invalid/v1")
    assert await live.gateway.replica.adopt(document, keep=False)

    got = await live.ask()

    assert got.headers["x-signalbox-backend"] == "large"
    assert (await attempts(live, got))[0] == ("small", "first", "connect")


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.7", "127.0.0.1"])
async def test_f27_a_name_that_flips_to_a_private_address_is_not_followed(
    start: START, real: tuple[str, int], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    large = Proxy(target=real)
    live = await start(small=Upstream(), large=large)
    assert await live.gateway.replica.adopt(moved(live, "http://flips.example/v1"), keep=False)
    genuine = socket.getaddrinfo

    def flipped(host: str, port: int, *more: Any, **rest: Any) -> Any:
        if host == "flips.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]
        return genuine(host, port, *more, **rest)

    monkeypatch.setattr(socket, "getaddrinfo", flipped)

    got = await live.ask()

    assert (got.status_code, got.json()["error"]["code"]) == (403, "egress_not_approved")
    assert await kind_of_end(live, got) == "decision.blocked"
    assert (await attempts(live, got))[0][2] == "egress"
    assert large.requests == 0


def moved(live: Live, url: str) -> dict[str, Any]:
    """The snapshot with the small backend at another address."""
    from routing.services.snapshots import digest_of

    snapshot = live.gateway.replica.snapshot
    assert snapshot is not None
    ports = {
        name: int(b.base_url.split(":")[2].split("/")[0]) for name, b in snapshot.backends.items()
    }
    document = snapshot_document(ports)
    for backend in document["backends"]:
        if backend["name"] == "small":
            backend["base_url"] = url
    return {**document, "digest": digest_of(document)}


# F28


def certificate(folder: Path, *, name: str, ended: bool) -> ssl.SSLContext:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now + dt.timedelta(days=-1 if ended else 9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.crt"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.mark.parametrize(
    ("name", "ended", "trusted"),
    [("localhost", False, False), ("localhost", True, True), ("other.example", False, True)],
    ids=["self-signed", "expired", "another host"],
)
async def test_f28_a_certificate_that_proves_nothing_is_refused_and_told(
    start: START,
    real: tuple[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    ended: bool,
    trusted: bool,
) -> None:
    from routing.adapters import pool

    context = ssl.create_default_context()
    if trusted:
        certificate(tmp_path, name=name, ended=ended)
        context.load_verify_locations(tmp_path / "server.crt")
    monkeypatch.setattr(pool, "_trust", lambda: context)
    live = await start(small=Upstream(), large=Proxy(target=real))
    tls = Proxy(target=real, tls=certificate(tmp_path, name=name, ended=ended))
    if trusted:
        context.load_verify_locations(tmp_path / "server.crt")
    async with tls.running():
        live.gateway.replica._guard._allowed.append(
            (__import__("ipaddress").ip_network("127.0.0.1/32"), tls.port)
        )
        document = moved(live, f"https://localhost:{tls.port}/v1")
        assert await live.gateway.replica.adopt(document, keep=False)

        got = await live.ask()

    assert got.headers["x-signalbox-backend"] == "large"
    assert (await attempts(live, got))[0] == ("small", "first", "tls")
    assert tls.requests == 0


# F29


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_f29_a_redirect_is_a_failure_and_never_followed(
    start: START, real: tuple[str, int], code: int
) -> None:
    trap = Proxy(target=real)
    async with trap.running():
        where = f"location: http://127.0.0.1:{trap.port}/latest/meta-data/\r\n"
        away = Proxy(status(code, more=where), target=real)
        live = await start(small=away, large=Proxy(target=real))
        live.gateway.replica._guard._allowed.append(
            (__import__("ipaddress").ip_network("127.0.0.1/32"), trap.port)
        )

        got = await live.ask()

        assert got.headers["x-signalbox-backend"] == "large"
        assert trap.requests == 0


# F30


@pytest.mark.parametrize("stream", [False, True])
async def test_f30_another_model_than_asked_for_is_recorded_and_not_shown(
    start: START, real: tuple[str, int], stream: bool
) -> None:
    swapped = rewrite(lambda whole: whole.replace(b'"theirs"', b'"tiny-9"'))
    small = Proxy(
        swapped if stream else instead(head(200, length=len(other())) + other()), target=real
    )
    live = await start(small=small, large=Proxy(target=real))

    got = await live.ask(stream=stream)

    assert got.status_code == 200
    [end] = await live.ends(got)
    assert end["details"]["attempts"][0]["other_model"] == "tiny-9"


def other() -> bytes:
    return completion(model="tiny-9")


async def test_an_honest_line_changes_nothing(start: START, real: tuple[str, int]) -> None:
    live = await start(small=Proxy(proxy.late(0.1), target=real), large=Proxy(target=real))

    got = await live.ask(stream=True)

    assert got.text.endswith("data: [DONE]\n\n")
    [end] = await live.ends(got)
    assert end["kind"] == "decision.completed"
    assert "other_model" not in end["details"]["attempts"][0]
