"""Prompts and answers, kept apart from the ledger so that they can be erased.

Each text has its own key and salt. The ledger holds only an HMAC under the salt: with the salt
gone nobody can tell, not even by guessing, what a short prompt was. Erasing deletes ciphertext,
key and salt, and the tree still verifies.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import connection, transaction

from audit.actors import Actor
from audit.errors import KeyUnavailable, LedgerBroken, PayloadGone
from audit.ids import uuid7
from audit.keys import read_or_make_key
from audit.ledger import record

_FORMAT: Final = b"\x01"
_NONCE: Final = 12
_KEY_ID: Final = 4

INSERT_SQL: Final = """
WITH stored AS (
    INSERT INTO audit.payload (id, decision_id, kind, ciphertext)
    VALUES (%(id)s, %(decision_id)s, %(kind)s, %(ciphertext)s)
    ON CONFLICT DO NOTHING RETURNING id
)
INSERT INTO audit.payload_key (payload_id, wrapped_dek, salt)
SELECT id, %(wrapped_dek)s, %(salt)s FROM stored
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPayload:
    """An encrypted text with its wrapped key. ``commitment`` goes into the ledger's entry."""

    id: UUID
    decision_id: UUID | None
    kind: str
    ciphertext: bytes
    wrapped_dek: bytes
    salt: bytes
    commitment: str

    def parameters(self) -> dict[str, Any]:
        """For INSERT_SQL."""
        return {
            "id": self.id,
            "decision_id": self.decision_id,
            "kind": self.kind,
            "ciphertext": self.ciphertext,
            "wrapped_dek": self.wrapped_dek,
            "salt": self.salt,
        }


@lru_cache(maxsize=4)
def _key_in(path: str) -> bytes:
    return read_or_make_key(Path(path))[0]


def payload_key(path: Path | str | None = None) -> bytes:
    """The key that wraps the keys of payloads, from its file; made when there is none yet."""
    return _key_in(str(path or settings.PAYLOAD_KEY_FILE))


def seal(
    plaintext: bytes, *, decision_id: UUID | None, kind: str, key: bytes, id: UUID | None = None
) -> SealedPayload:
    """Encrypt one text under a key of its own. ``key`` is ``payload_key()``, read once."""
    identity = id or uuid7()
    dek, salt = os.urandom(32), os.urandom(32)
    nonce, wrap_nonce = os.urandom(_NONCE), os.urandom(_NONCE)
    ciphertext = AESGCM(dek).encrypt(nonce, plaintext, _bound_to(identity, decision_id, kind))
    wrapped = AESGCM(key).encrypt(wrap_nonce, dek, b"signalbox-key/1\x00" + identity.bytes)
    return SealedPayload(
        id=identity,
        decision_id=decision_id,
        kind=kind,
        ciphertext=_FORMAT + nonce + ciphertext,
        wrapped_dek=_FORMAT + _key_id(key) + wrap_nonce + wrapped,
        salt=salt,
        commitment=commitment(plaintext, salt),
    )


def commit_to(plaintext: bytes, *, decision_id: UUID | None, kind: str) -> SealedPayload:
    """A commitment alone: the salt is kept, the text is not. Whoever has the text can prove it."""
    salt = os.urandom(32)
    return SealedPayload(
        id=uuid7(),
        decision_id=decision_id,
        kind=kind,
        ciphertext=b"",
        wrapped_dek=b"",
        salt=salt,
        commitment=commitment(plaintext, salt),
    )


def commitment(plaintext: bytes, salt: bytes) -> str:
    return "hmac-sha256:" + hmac.new(salt, plaintext, sha256).hexdigest()


async def insert_all(connection: Any, sealed: Sequence[SealedPayload]) -> None:
    """Store on the live recorder's asynchronous connection, in its transaction; safe to repeat."""
    async with connection.cursor() as cursor:
        await cursor.executemany(INSERT_SQL, [payload.parameters() for payload in sealed])


def store(payload: SealedPayload) -> None:
    """Store in the current transaction of Django's connection; safe to repeat."""
    with connection.cursor() as cursor:
        cursor.execute(INSERT_SQL, payload.parameters())


def open_payload(payload_id: UUID, *, key: bytes | None = None) -> bytes:
    """The text. Raises PayloadGone when it was erased. Reading for a person goes by ``reveal``."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.decision_id, p.kind, p.ciphertext, k.wrapped_dek
               FROM audit.payload p JOIN audit.payload_key k ON k.payload_id = p.id
               WHERE p.id = %s""",
            (payload_id,),
        )
        row = cursor.fetchone()
    if row is None:
        raise PayloadGone
    decision_id, kind, ciphertext, wrapped = row[0], row[1], bytes(row[2]), bytes(row[3])
    if not ciphertext:
        raise PayloadGone("Only a commitment to this text was kept.")
    wrapping = key if key is not None else payload_key()
    if wrapped[:1] != _FORMAT or wrapped[1 : 1 + _KEY_ID] != _key_id(wrapping):
        raise KeyUnavailable("this text was encrypted under another payload key")
    start = 1 + _KEY_ID
    try:
        dek = AESGCM(wrapping).decrypt(
            wrapped[start : start + _NONCE],
            wrapped[start + _NONCE :],
            b"signalbox-key/1\x00" + payload_id.bytes,
        )
        return AESGCM(dek).decrypt(
            ciphertext[1 : 1 + _NONCE],
            ciphertext[1 + _NONCE :],
            _bound_to(payload_id, decision_id, kind),
        )
    except InvalidTag:
        raise LedgerBroken(f"the stored text {payload_id} was changed") from None


def reveal(payload_id: UUID, *, by: Actor, reason: str = "") -> bytes:
    """The text for a person's eyes: the reading itself is recorded, before it is returned."""
    with transaction.atomic():
        text = open_payload(payload_id)
        decision_id, kind = _owner_of(payload_id)
        record(
            "payload.revealed",
            by=by,
            object_type="decision" if decision_id else "payload",
            object_id=decision_id or payload_id,
            decision_id=decision_id,
            reason=reason,
            details={"payload_id": str(payload_id), "payload_kind": kind, "bytes": len(text)},
        )
    return text


def payloads_of(decision_id: UUID) -> list[tuple[UUID, str]]:
    """(id, kind) of what is still kept of a decision."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, kind FROM audit.payload WHERE decision_id = %s ORDER BY id", (decision_id,)
        )
        return list(cursor.fetchall())


def erase(*, decision_id: UUID, by: Actor, reason: str, basis: str = "", kind: str = "") -> int:
    """Delete the stored texts of a decision with key and salt; return how many there were.

    All of them, or those of one ``kind``.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """DELETE FROM audit.payload_key k USING audit.payload p
               WHERE p.id = k.payload_id AND p.decision_id = %s AND %s IN ('', p.kind)""",
            (decision_id, kind),
        )
        cursor.execute(
            """DELETE FROM audit.payload WHERE decision_id = %s AND %s IN ('', kind)
               RETURNING id, kind""",
            (decision_id, kind),
        )
        gone = cursor.fetchall()
        record(
            "payload.erased",
            by=by,
            object_type="decision",
            object_id=decision_id,
            decision_id=decision_id,
            reason=reason,
            details={
                "count": len(gone),
                "basis": basis,
                "payloads": [{"id": str(identity), "kind": kind} for identity, kind in gone[:100]],
            },
        )
    return len(gone)


def _owner_of(payload_id: UUID) -> tuple[UUID | None, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT decision_id, kind FROM audit.payload WHERE id = %s", (payload_id,))
        row = cursor.fetchone()
    if row is None:
        raise PayloadGone
    return row[0], row[1]


def _key_id(key: bytes) -> bytes:
    return sha256(b"signalbox-payload-key\x00" + key).digest()[:_KEY_ID]


def _bound_to(identity: UUID, decision_id: UUID | None, kind: str) -> bytes:
    # Authenticated with the text: a ciphertext moved to another decision does not open.
    owner = decision_id.bytes if decision_id else bytes(16)
    return b"signalbox-payload/1\x00" + identity.bytes + owner + kind.encode()
