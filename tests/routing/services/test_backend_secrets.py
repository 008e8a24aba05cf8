"""Stored secrets: encrypted, bound to their backend, written and never shown."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from audit.models import Event
from routing.models import Backend
from routing.services import registry, secrets, snapshots
from screens.errors import Conflict, Invalid, NotAllowed

People = dict[str, Any]
SECRET = "sk-live-canary-7d1f"


@pytest.fixture
def stored(backends: dict[str, Backend], people: People) -> Backend:
    return registry.store_secret(
        backend=backends["large"], secret=SECRET, by=people["olivia"], reason="New key"
    )


def test_a_stored_secret_opens_for_its_backend(stored: Backend) -> None:
    assert secrets.resolve(stored.secret_reference) == SECRET


def test_a_sealed_secret_moved_to_another_backend_does_not_open(stored: Backend) -> None:
    moved = f"sealed:small:{b64encode(bytes(stored.secret_sealed)).decode()}"

    with pytest.raises(secrets.SecretMissing):
        secrets.resolve(moved)


def test_a_changed_byte_does_not_open(stored: Backend) -> None:
    broken = bytearray(stored.secret_sealed)
    broken[-1] ^= 1

    with pytest.raises(secrets.SecretMissing):
        secrets.resolve(f"sealed:large:{b64encode(bytes(broken)).decode()}")


@pytest.mark.parametrize("text", ["sealed:large:", "sealed:large:***", "sealed:large:AQ=="])
def test_a_broken_reference_is_a_missing_secret_and_no_crash(text: str) -> None:
    with pytest.raises(secrets.SecretMissing):
        secrets.resolve(text)


def test_neither_the_database_the_snapshot_nor_the_trail_holds_the_text(stored: Backend) -> None:
    document = json.dumps(snapshots.build_document())
    trail = b"".join(bytes(body) for body in Event.objects.values_list("body", flat=True))

    assert SECRET not in document
    assert "sealed:large:" in document
    assert SECRET.encode() not in trail
    assert SECRET.encode() not in bytes(stored.secret_sealed)


def test_a_rotation_is_recorded_by_its_fingerprints(stored: Backend, people: People) -> None:
    before = stored.secret_fingerprint
    fresh = registry.store_secret(
        backend=stored, secret="sk-live-next-2b", by=people["olivia"], reason="Yearly"
    )

    assert fresh.secret_fingerprint != before
    event = Event.objects.filter(kind="backend.secret_stored").latest("id")
    assert event.entry["diff"] == [
        {"field": "fingerprint", "before": before, "after": fresh.secret_fingerprint}
    ]


def test_the_same_secret_has_the_same_fingerprint_only_on_one_backend() -> None:
    assert secrets.fingerprint("a", backend="x") == secrets.fingerprint("a", backend="x")
    assert secrets.fingerprint("a", backend="x") != secrets.fingerprint("a", backend="y")


def test_another_address_does_not_inherit_the_secret(stored: Backend, people: People) -> None:
    moved = registry.change_backend(
        backend=stored, by=people["olivia"], reason="move", base_url="http://127.0.0.1:8/v1"
    )

    assert moved.secret_sealed is None
    assert moved.secret_reference == ""


def test_a_reference_and_a_stored_secret_exclude_each_other(
    stored: Backend, people: People
) -> None:
    with pytest.raises(Invalid):
        registry.change_backend(
            backend=stored, by=people["olivia"], reason="x", secret_ref="env:LARGE_KEY"
        )


def test_removing_needs_one_and_a_reason(
    stored: Backend, backends: dict[str, Backend], people: People
) -> None:
    with pytest.raises(Invalid):
        registry.remove_secret(backend=stored, by=people["olivia"], reason=" ")
    with pytest.raises(Conflict):
        registry.remove_secret(backend=backends["small"], by=people["olivia"], reason="x")
    with pytest.raises(NotAllowed):
        registry.remove_secret(backend=stored, by=people["petra"], reason="x")

    assert (
        registry.remove_secret(
            backend=stored, by=people["olivia"], reason="Retired"
        ).secret_reference
        == ""
    )


def test_what_cannot_be_a_header_is_refused(backends: dict[str, Backend], people: People) -> None:
    for text in ("", "two\nlines", "schl\u00fcssel"):
        with pytest.raises(Invalid):
            registry.store_secret(
                backend=backends["large"], secret=text, by=people["olivia"], reason="x"
            )
