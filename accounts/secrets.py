"""The form of an API key: prefix, public id, 256-bit secret, checksum. Makes and reads it."""

from __future__ import annotations

import hashlib
import secrets
import zlib
from dataclasses import dataclass

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIX = "sbx_live_"


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshKey:
    text: str
    public_id: str
    sha256: bytes


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), 6)


def fingerprint(text: str) -> bytes:
    """SHA-256 is enough: the secret has 256 random bits, so nothing can be guessed."""
    return hashlib.sha256(text.encode()).digest()


def make_key() -> FreshKey:
    """Make ``sbx_live_<8 public><43 secret><6 checksum>``; the caller shows ``text`` once."""
    public_id = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    body = f"{_PREFIX}{public_id}{_base62(secrets.randbits(256), 43)}"
    text = body + _checksum(body)
    return FreshKey(text=text, public_id=public_id, sha256=fingerprint(text))


def is_well_formed(text: str) -> bool:
    """True when the checksum fits; a scanner for leaked secrets uses the same rule."""
    return (
        text.startswith(_PREFIX)
        and len(text) == len(_PREFIX) + 8 + 43 + 6
        and _checksum(text[:-6]) == text[-6:]
    )
