"""Another backend is asked over a real connection, and only where the engine lets it be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.utils import timezone

import audit
from audit.actors import Actor
from audit.ids import uuid7
from routing.engine.decide import compile_policy, decide
from routing.engine.document import parse_policy
from routing.engine.registry import FIRST_REGISTRY
from routing.engine.types import Facts
from routing.models import Backend, PolicyVersion, SignOff
from routing.services import asking_again, registry
from routing.services.analysis import registry_facts
from routing.services.replay import backends_as_json, facts_as_json
from tests.faults.upstream import Upstream, answer, completion
from tests.routing.conftest import backend_fields

pytestmark = pytest.mark.django_db
REQUEST = orjson.dumps(
    {"model": "support", "stream": True, "messages": [{"role": "user", "content": "Hello."}]}
)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A backend on a real socket, in a loop of its own."""
    served, ready, stop = Upstream(), threading.Event(), threading.Event()

    async def serve() -> None:
        async with served.running():
            ready.set()
            await asyncio.to_thread(stop.wait, 30)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(5)
    yield served
    stop.set()
    thread.join(10)


@pytest.fixture
def served(
    backends: dict[str, Backend], upstream: Upstream, people: dict[str, Any], settings: Any
) -> Backend:
    settings.EGRESS_PRIVATE_ALLOWED = [f"127.0.0.1:{upstream.port}"]
    Backend.objects.filter(name="large").update(base_url=f"http://127.0.0.1:{upstream.port}/v1")
    public = registry.register_backend(
        by=people["olivia"],
        name="outside",
        reason="test",
        **backend_fields(tier="llm", boundary="public", base_url="https://outside.example/v1"),
    )
    registry.set_backend_state(backend=public, state="active", by=people["olivia"], reason="test")
    return Backend.objects.get(name="large")


@pytest.fixture
def decided(active_version: PolicyVersion, served: Backend) -> Any:
    """A decision as the live API records it; its request may leave the company."""
    policy = parse_policy(active_version.document)
    compiled = compile_policy(policy, number=active_version.number, digest=active_version.digest)
    signals = FIRST_REGISTRY.admit({"prompt_tokens": 3, "data_class": "internal"})
    facts = Facts(
        signals=signals,
        data_class="internal",
        now_s=int(timezone.now().timestamp()),
        boundary_ceiling="public",
    )
    known = registry_facts()
    # A decision has the id of this event.
    return audit.record(
        "decision.made",
        by=Actor("api_key", "k1", "claims-portal"),
        object_type="route",
        object_id="support",
        decision_id=uuid7(),
        details={
            "route": "support",
            "policy": f"support@{active_version.number}",
            "policy_digest": active_version.digest,
            "decision": decide(compiled, facts, known).as_json(),
            "facts": facts_as_json(facts),
            "backends": backends_as_json(known),
        },
    )


def ask(decision_id: Any, backend: str = "large", data_class: str = "internal") -> Any:
    return asking_again.ask(
        decision_id=decision_id, data_class=data_class, backend=backend, request=REQUEST
    )


def reasons(decision_id: Any, data_class: str = "internal") -> dict[str, str]:
    found = asking_again.offers(decision_id=decision_id, data_class=data_class)
    return {one.name: one.reason for one in found}


def test_a_backend_inside_answers_again_whole_and_by_its_own_model(
    decided: Any, upstream: Upstream
) -> None:
    upstream.acts = [answer(completion("A second answer."))]

    reply = ask(decided)

    assert (reply.text, reply.input_tokens, reply.output_tokens) == ("A second answer.", 9, 2)
    assert upstream.bodies[0]["model"] == "tiny-1"
    assert upstream.bodies[0]["stream"] is False


def test_a_backend_outside_needs_its_sign_off_now(
    decided: Any, people: dict[str, Any], upstream: Upstream
) -> None:
    assert reasons(decided)["large"] == ""
    assert reasons(decided)["outside"] != ""

    with pytest.raises(asking_again.NotAllowedToAsk, match="outside may not be asked"):
        ask(decided, "outside")

    assert upstream.bodies == []


def test_a_sign_off_for_one_class_opens_no_other(decided: Any, people: dict[str, Any]) -> None:
    now = timezone.now()
    SignOff.objects.create(
        backend=Backend.objects.get(name="outside"),
        data_class="internal",
        state=SignOff.State.GRANTED,
        valid_from=now - timedelta(days=1),
        valid_to=now + timedelta(days=1),
        requested_by=people["olivia"],
        first_approver=people["petra"],
        second_approver=people["pavel"],
        first_approved_at=now - timedelta(days=1),
        second_approved_at=now - timedelta(days=1),
    )

    assert reasons(decided)["outside"] == ""
    assert reasons(decided, "restricted")["outside"] != ""


def test_a_backend_that_was_switched_off_since_is_not_asked(
    decided: Any, people: dict[str, Any], upstream: Upstream
) -> None:
    Backend.objects.filter(name="large").update(state="disabled")

    with pytest.raises(asking_again.NotAllowedToAsk):
        ask(decided)

    assert upstream.bodies == []


@pytest.mark.parametrize(
    "body", [b"no json", b'{"choices": []}', completion(""), b'{"choices": [{"message": null}]}']
)
def test_an_answer_without_text_is_none(decided: Any, upstream: Upstream, body: bytes) -> None:
    upstream.acts = [answer(body)]

    with pytest.raises(asking_again.NoAnswer):
        ask(decided)


def test_a_backend_that_fails_says_so(decided: Any, upstream: Upstream) -> None:
    upstream.acts = [answer(b"busy", status=503)]

    with pytest.raises(asking_again.NoAnswer):
        ask(decided)


def test_an_unknown_backend_is_refused(decided: Any) -> None:
    with pytest.raises(asking_again.NotAllowedToAsk, match="no such backend"):
        ask(decided, "nowhere")
