"""Resolves a reference to a backend's secret; the secret itself is never logged or shown.

A secret may also be stored, encrypted: its own key is wrapped under the payload key file, which
lies outside the database, and both are bound to the backend's name, so that a sealed secret moved
to another backend does not open.
"""

from __future__ import annotations

import hmac
import os
from base64 import b64decode
from binascii import Error as NotBase64
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.errors import KeyUnavailable
from audit.payloads import payload_key
from screens import logs

_FORMAT: Final = b"\x01"
_NONCE: Final = 12
_WRAPPED: Final = 32 + 16


class SecretMissing(Exception):
    """The reference names nothing that exists here."""


def resolve(reference: str) -> str:
    """Return the secret behind ``env:NAME``, ``file:/path`` or a sealed one; empty is no secret.

    Whatever it is, this process's log does not say it from now on.
    """
    secret = _resolved(reference)
    logs.hide(secret)
    return secret


def _resolved(reference: str) -> str:
    if not reference:
        return ""
    kind, _, where = reference.partition(":")
    if kind == "env":
        if where not in os.environ:
            raise SecretMissing(f"The environment variable {where} is not set.")
        return os.environ[where].strip()
    if kind == "file":
        try:
            return Path(where).read_text().strip()
        except OSError as problem:
            raise SecretMissing(f"The secret file {where} cannot be read.") from problem
    if kind == "sealed":
        name, _, coded = where.partition(":")
        return _opened(name, coded)
    raise SecretMissing("A secret reference starts with env: or file:.")


def seal(secret: str, *, backend: str) -> bytes:
    """Encrypt under a fresh key, and that key under the payload key file."""
    dek, nonce, wrap_nonce = os.urandom(32), os.urandom(_NONCE), os.urandom(_NONCE)
    owner = _owner(backend)
    wrapped = AESGCM(payload_key()).encrypt(wrap_nonce, dek, b"key\x00" + owner)
    ciphertext = AESGCM(dek).encrypt(nonce, secret.encode(), owner)
    return _FORMAT + wrap_nonce + wrapped + nonce + ciphertext


def fingerprint(secret: str, *, backend: str) -> str:
    """Sixteen characters that tell two secrets apart; keyed, so that nobody can guess from them."""
    key = sha256(b"signalbox-secret-fingerprint\x00" + payload_key()).digest()
    return hmac.new(key, _owner(backend) + secret.encode(), sha256).hexdigest()[:16]


def _opened(backend: str, coded: str) -> str:
    try:
        sealed, owner = b64decode(coded, validate=True), _owner(backend)
        if sealed[:1] != _FORMAT:
            raise SecretMissing("The stored secret has an unknown form.")
        start = 1 + _NONCE
        dek = AESGCM(payload_key()).decrypt(
            sealed[1:start], sealed[start : start + _WRAPPED], b"key\x00" + owner
        )
        rest = sealed[start + _WRAPPED :]
        return AESGCM(dek).decrypt(rest[:_NONCE], rest[_NONCE:], owner).decode()
    except (InvalidTag, NotBase64, ValueError, KeyUnavailable) as problem:
        raise SecretMissing(
            f"The stored secret of {backend} cannot be opened with this installation's key."
        ) from problem


def _owner(backend: str) -> bytes:
    return b"signalbox-secret/1\x00" + backend.encode()
