"""The snapshot: every change of what replicas run on raises its revision, and it compiles."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.services import keys
from routing.gateway.snapshot import compile_snapshot
from routing.models import Backend, Replica
from routing.services import policies, registry, snapshots

pytestmark = pytest.mark.django_db


def test_an_activation_raises_the_revision(active_version: Any, people: dict[str, Any]) -> None:
    before = snapshots.current_revision()

    policies.start_draft(slug="support", by=people["arjun"])

    assert snapshots.current_revision() > before


@pytest.mark.parametrize("act", ["switch", "key", "state", "price"])
def test_every_change_that_matters_raises_the_revision(
    active_version: Any, backends: dict[str, Backend], people: dict[str, Any], act: str
) -> None:
    before = snapshots.current_revision()
    olivia = people["olivia"]
    acts = {
        "switch": lambda: registry.engage_switch(
            scope="public", target="", by=olivia, reason="test"
        ),
        "key": lambda: keys.create_key(by=olivia, reason="test", name="app", owner="team"),
        "state": lambda: registry.set_backend_state(
            backend=backends["small"], state="draining", by=olivia, reason="test"
        ),
        "price": lambda: registry.change_backend(
            backend=backends["small"], by=olivia, reason="test", input_usd_per_mtok=9
        ),
    }

    acts[act]()

    assert snapshots.current_revision() > before


def test_the_document_compiles_and_carries_the_active_policy(active_version: Any) -> None:
    snapshot = compile_snapshot(snapshots.build_document())

    assert snapshot.routes["support"].policy_label == "support@1"
    assert snapshot.routes["support"].policy_digest == active_version.digest
    assert snapshot.routes["support"].baseline == "large"


def test_the_same_state_has_the_same_digest(active_version: Any) -> None:
    first, second = snapshots.build_document(), snapshots.build_document()

    assert first["digest"] == second["digest"] == snapshots.digest_of(first)


def test_drafts_of_backends_are_not_in_it(people: dict[str, Any], active_version: Any) -> None:
    from tests.routing.conftest import backend_fields

    registry.register_backend(by=people["olivia"], name="new", reason="test", **backend_fields())

    assert "new" not in compile_snapshot(snapshots.build_document()).backends


def test_a_revoked_key_is_not_in_it(people: dict[str, Any], active_version: Any) -> None:
    key, _ = keys.create_key(by=people["olivia"], reason="test", name="app", owner="team")
    keys.revoke_key(key=key, by=people["olivia"], reason="leaked")

    assert compile_snapshot(snapshots.build_document()).keys == {}


def test_the_key_is_found_by_the_digest_of_its_text(
    people: dict[str, Any], active_version: Any
) -> None:
    from accounts.secrets import fingerprint

    key, text = keys.create_key(by=people["olivia"], reason="test", name="app", owner="team")

    assert compile_snapshot(snapshots.build_document()).keys[fingerprint(text)].name == "app"


def test_a_replica_that_has_gone_is_forgotten(db: None) -> None:
    now = timezone.now()
    Replica.objects.create(
        name="old", revision=1, digest="d", started_at=now, seen_at=now - timedelta(hours=1)
    )

    snapshots.acknowledge(replica="new", revision=2, digest="e", started_at=now)

    assert [replica.name for replica in Replica.objects.all()] == ["new"]
