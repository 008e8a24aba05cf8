"""Decisions of the live API come out again, all equal, under the version of their time."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import connections

from routing.adapters.egress import Guard
from routing.engine.canonical import digest
from routing.gateway.application import Gateway, dsn_of
from routing.models import PolicyVersion, Route
from routing.services import redecide
from routing.services.proof import prove
from routing.services.redecide import compiled_version, newest
from routing.services.snapshots import digest_of
from tests.faults.upstream import Upstream
from tests.routing.backtests.conftest import narrow
from tests.routing.conftest import policy_document
from tests.routing.gateway.conftest import Live, snapshot_document

pytestmark = pytest.mark.django_db
WORDS = (
    "Where is my parcel?",
    "Refund card 4111 1111 1111 1111 now.",
    "Prove that 7 is prime. " * 90,
)
CLASSES = ("public", "internal", "confidential", "restricted")


def rules() -> dict[str, Any]:
    return {
        "rules": [
            {
                "id": "cards",
                "name": "Cards",
                "when": {"all": [{"personal_data": {"contains_any": ["payment_card"]}}]},
                "then": {"refuse": True},
            },
            {
                "id": "desk",
                "name": "The legal desk",
                "when": {"all": [{"metadata.desk": {"eq": "legal"}}]},
                "then": {"route": {"tier": "llm", "targets": ["large"]}},
            },
            {
                "id": "restricted",
                "name": "Restricted",
                "when": {"all": [{"data_class": {"eq": "restricted"}}]},
                "then": {"safe_default": True},
            },
            narrow(100),
        ],
        "signals": {
            "metadata.desk": {"type": "enum", "values": ["legal", "sales"], "personal": False}
        },
    }


async def ask_many(count: int, folder: Path, version: PolicyVersion, dsn: str) -> None:
    """Through the real code path: parse, plan, record, carry; the small model fails at times."""
    small, large = Upstream(), Upstream()
    async with small.running(), large.running():
        ports = {"small": small.port, "large": large.port}
        gateway = Gateway(
            dsn=dsn,
            snapshot_file=folder / "snapshot.json",
            guard=Guard([f"127.0.0.1:{port}" for port in ports.values()]),
            url="http://live",
            body_limit=100_000,
        )
        document = snapshot_document(ports)
        slug = document["keys"][0]["default_route"] = version.route.slug
        document["routes"][0] |= {
            "slug": slug,
            "policy": {
                "number": version.number,
                "digest": version.digest,
                "document": version.document,
            },
        }
        document["digest"] = digest_of(document)
        assert await gateway.replica.adopt(document, keep=False)
        gateway.recorder.start()
        live = Live(gateway, dsn)
        try:
            for start in range(0, count, 20):
                await asyncio.gather(
                    *(_ask(live, slug, number) for number in range(start, start + 20))
                )
        finally:
            await live.client.aclose()
            await gateway.stop()


async def _ask(live: Live, slug: str, number: int) -> None:
    body: dict[str, Any] = {
        "model": "small" if number % 17 == 0 else slug,
        "messages": [{"role": "user", "content": WORDS[number % 3]}],
        "max_tokens": 20 + number % 50,
    }
    if number % 5 == 0:
        body["metadata"] = {"desk": "legal"}
    if number % 7 == 0:
        body["response_format"] = {"type": "json_object"}
    headers = {"x-signalbox-data-class": CLASSES[1 + number // 3 % 3]}
    await live.client.post("/v1/chat/completions", json=body, headers=headers)


def _version(route: Route, number: int, author: Any, **changed: Any) -> PolicyVersion:
    document = policy_document(route=route.slug, **changed)
    return PolicyVersion.objects.create(
        route=route, number=number, document=document, digest=digest(document), author=author
    )


@pytest.fixture
def version(backends: dict[str, Any], people: dict[str, Any]) -> PolicyVersion:
    """Of a route of its own: what the live API writes is committed and outlives the test."""
    route = Route.objects.create(
        slug=f"live-{uuid4().hex[:12]}", name="Live", owner="team", baseline=backends["large"]
    )
    return _version(route, 1, people["arjun"], **rules())


@pytest.fixture
def make_live(version: PolicyVersion, tmp_path: Path) -> Callable[[int], None]:
    dsn = dsn_of(connections["default"].settings_dict)
    return lambda count: asyncio.run(ask_many(count, tmp_path, version, dsn))


def test_hundreds_of_live_decisions_replay_as_equal(
    make_live: Callable[[int], None], version: PolicyVersion
) -> None:
    make_live(300)
    proof = prove(decisions=1000, route=version.route.slug)
    assert proof.read == 300
    assert proof.unable == {}
    assert proof.unequal == []
    assert proof.equal == 300
    assert proof.holds
    made = [details["decision"] for _, details in newest(limit=300, route=version.route.slug)]
    assert {"cards", "desk", "restricted", "narrow-work", "default"} <= {
        decision["rule"] for decision in made
    }
    assert {"explicit_pin", "refused", "rule_match"} <= {decision["cause"] for decision in made}


def test_the_command_prints_the_proof_and_a_table_under_another_version(
    make_live: Callable[[int], None], version: PolicyVersion, people: dict[str, Any]
) -> None:
    make_live(40)
    successor = _version(version.route, 2, people["petra"], rules=[narrow(100)])
    out = io.StringIO()
    asked = ("policy", "replay", "--against", str(successor))
    call_command(*asked, stdout=out)
    said = out.getvalue()
    assert "40 decisions replayed under the version of their time: 40 equal" in said
    assert "then \\ now" in said
    out = io.StringIO()
    call_command(*asked, "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert found["holds"] is True
    assert sum(cell["count"] for cell in found["confusion"]) == 40
    moved = {(cell["from"], cell["to"]) for cell in found["confusion"]}
    assert ("refused", "slm, private") in moved


def test_a_changed_document_is_found_and_ends_with_one(
    history: Callable[..., list[UUID]],
    active_version: PolicyVersion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history(40, route="changed")
    assert prove(decisions=40, route="changed").equal == 40
    changed = PolicyVersion.objects.get(pk=active_version.pk)
    changed.document = {**changed.document, "rules": [narrow(1)]}
    monkeypatch.setattr(redecide, "version_of", lambda label: changed)
    proof = prove(decisions=40, route="changed")
    assert not proof.holds
    assert proof.unequal_count > 0
    with pytest.raises(SystemExit) as ended:
        call_command("policy", "replay", "--route", "changed", stdout=io.StringIO())
    assert ended.value.code == 1


def test_a_record_whose_version_is_gone_is_no_proof(
    history: Callable[..., list[UUID]],
    active_version: PolicyVersion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history(3, route="gone")
    monkeypatch.setattr(redecide.Versions, "of", lambda self, label: None)
    proof = prove(decisions=3, route="gone", against=compiled_version(active_version))
    assert not proof.holds
    assert proof.unable == {f"the version {active_version} is not stored": 3}


def test_batches_neither_repeat_nor_lose_a_decision(
    history: Callable[..., list[UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redecide, "BATCH", 4)
    made = history(11, route="batches")
    read = [decision_id for decision_id, _ in newest(limit=10, route="batches")]
    assert read == sorted(made, reverse=True)[:10]
