"""The form of API keys and access tokens: prefix, public id, 256-bit secret, checksum."""

from __future__ import annotations

import hashlib
import secrets
import zlib
from dataclasses import dataclass

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LIVE, MANAGEMENT = "sbx_live_", "sbx_mgmt_"


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


def make_key(prefix: str = LIVE) -> FreshKey:
    """Make ``<prefix><8 public><43 secret><6 checksum>``; the caller shows ``text`` once."""
    public_id = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    body = f"{prefix}{public_id}{_base62(secrets.randbits(256), 43)}"
    text = body + _checksum(body)
    return FreshKey(text=text, public_id=public_id, sha256=fingerprint(text))


def is_well_formed(text: str, prefix: str = LIVE) -> bool:
    """True when the checksum fits; a scanner for leaked secrets uses the same rule."""
    return (
        text.startswith(prefix)
        and text.isascii()
        and len(text) == len(prefix) + 8 + 43 + 6
        and _checksum(text[:-6]) == text[-6:]
    )
