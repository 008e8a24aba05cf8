from __future__ import annotations

import hmac
import stat
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from audit import fsck, payloads
from audit.errors import KeyUnavailable, LedgerBroken, PayloadGone
from audit.ids import uuid7
from audit.models import Event
from tests.audit.conftest import ANA, Ledger

TEXT = "Bitte Rechnung 8841 für Max Mustermann prüfen.".encode()


def kept(decision_id: UUID, kind: str = "request") -> payloads.SealedPayload:
    sealed = payloads.seal(TEXT, decision_id=decision_id, kind=kind, key=payloads.payload_key())
    with transaction.atomic():
        payloads.store(sealed)
    return sealed


def stored_bytes(ledger: Ledger) -> bytes:
    with ledger.connect() as owner:
        rows = owner.execute(
            """SELECT body FROM audit.event
               UNION ALL SELECT ciphertext FROM audit.payload
               UNION ALL SELECT wrapped_dek || salt FROM audit.payload_key"""
        ).fetchall()
    return b"".join(row[0] for row in rows)


def test_a_kept_text_can_be_read_again(ledger: Ledger) -> None:
    sealed = kept(uuid7())

    assert payloads.open_payload(sealed.id) == TEXT


def test_the_database_never_holds_the_text(ledger: Ledger) -> None:
    kept(uuid7())

    assert b"Mustermann" not in stored_bytes(ledger)


def test_the_commitment_is_an_hmac_under_the_salt() -> None:
    sealed = payloads.seal(TEXT, decision_id=None, kind="answer", key=bytes(32))

    wanted = hmac.new(sealed.salt, TEXT, sha256).hexdigest()
    assert sealed.commitment == f"hmac-sha256:{wanted}"


def test_the_same_text_twice_shows_no_likeness() -> None:
    first = payloads.seal(TEXT, decision_id=None, kind="answer", key=bytes(32))
    second = payloads.seal(TEXT, decision_id=None, kind="answer", key=bytes(32))

    assert first.commitment != second.commitment
    assert first.ciphertext[13:] != second.ciphertext[13:]


@pytest.mark.parametrize("column", ["decision_id = gen_random_uuid()", "kind = 'other'",
                                    "ciphertext = ciphertext || '\\x00'::bytea"])  # fmt: skip
def test_a_text_that_was_moved_or_changed_does_not_open(ledger: Ledger, column: str) -> None:
    sealed = kept(uuid7())
    with ledger.connect() as owner:
        owner.execute(f"UPDATE audit.payload SET {column}")

    with pytest.raises(LedgerBroken):
        payloads.open_payload(sealed.id)


def test_another_key_does_not_open_it(ledger: Ledger) -> None:
    sealed = kept(uuid7())

    with pytest.raises(KeyUnavailable):
        payloads.open_payload(sealed.id, key=bytes(32))


def test_revealing_is_recorded(ledger: Ledger) -> None:
    decision = uuid7()
    sealed = kept(decision)

    assert payloads.reveal(sealed.id, by=ANA, reason="complaint 12") == TEXT

    event = Event.objects.get(kind="payload.revealed")
    assert (event.decision_id, event.actor, event.reason) == (decision, "ana", "complaint 12")


def test_erasing_destroys_text_key_and_salt_and_the_tree_still_verifies(ledger: Ledger) -> None:
    decision = ledger.decisions(1)[0].id
    sealed = kept(decision)
    kept(decision, "answer")
    ledger.sequence()

    assert payloads.erase(decision_id=decision, by=ANA, reason="Art. 17", basis="GDPR 17") == 2

    ledger.sequence()
    with pytest.raises(PayloadGone):
        payloads.open_payload(sealed.id)
    assert sealed.salt not in stored_bytes(ledger)
    assert payloads.payloads_of(decision) == []
    assert Event.objects.get(kind="payload.erased").entry["details"]["count"] == 2
    assert fsck.check().is_ok


def test_storing_twice_is_the_same_as_once(ledger: Ledger) -> None:
    sealed = kept(uuid7())
    with transaction.atomic():
        payloads.store(sealed)

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit.payload")
        assert cursor.fetchone() == (1,)


def test_the_key_file_is_made_once_and_closed_to_others(settings: Any) -> None:
    first = payloads.payload_key()

    assert payloads.payload_key() == first
    assert stat.S_IMODE(Path(settings.PAYLOAD_KEY_FILE).stat().st_mode) == 0o600
