"""C2SP signed notes and log checkpoints (tlog-checkpoint), signed with Ed25519.

The text formats are the published ones, so that other people's tools can check ours. A verifier
ignores signatures by keys it does not know and demands one by the key it was given.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = 0x01
_DASH = "\u2014 "
_MAX_SIGNATURES = 16
_MAX_NOTE = 64 * 1024
_TIME = "time "


class NoteError(ValueError):
    """A note or a key is malformed, or no signature on it is good."""


def check_name(name: str) -> None:
    if not name or "+" in name or any(c.isspace() or ord(c) < 0x21 for c in name):
        raise NoteError("a key name must not be empty or contain spaces or a plus sign")


def key_hash(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([_ED25519]) + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key under a name; its text form is ``name+hash+base64``."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Verifier:
        try:
            name, hash_hex, encoded = text.strip().split("+", 2)
            blob = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise NoteError("a verifier key looks like name+hash+base64") from None
        check_name(name)
        if len(blob) != 33 or blob[0] != _ED25519:
            raise NoteError("this verifier key is not an Ed25519 key")
        if key_hash(name, blob[1:]).hex() != hash_hex:
            raise NoteError("the hash inside the verifier key does not belong to its name and key")
        return cls(name, blob[1:])

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([_ED25519]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @property
    def key_id(self) -> bytes:
        return key_hash(self.name, self.public)

    def accepts(self, text: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            return False
        return True


class Signer:
    """A private key under a name. Never logged, never put into the database."""

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        check_name(name)
        if len(seed) != 32:
            raise NoteError("an Ed25519 seed has 32 bytes")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The signed note over a text, which must end with a newline."""
        check_text(text)
        signature = self.verifier.key_id + self._private.sign(text.encode())
        encoded = base64.b64encode(signature).decode()
        return f"{text}\n{_DASH}{self.verifier.name} {encoded}\n"


def check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise NoteError("the text of a note must end with a newline")
    if any(ord(c) < 0x20 and c != "\n" for c in text):
        raise NoteError("the text of a note must not contain control characters")


def open_note(note: str, verifiers: Iterable[Verifier]) -> tuple[str, tuple[Verifier, ...]]:
    """The text of a note and who signed it; raise NoteError unless one of the keys signed."""
    if len(note) > _MAX_NOTE:
        raise NoteError("the note is too long")
    text, separator, block = note.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise NoteError("the note has no signature block")
    text += "\n"
    check_text(text)
    known = {(key.name, key.key_id): key for key in verifiers}
    lines = block.splitlines()
    if not 0 < len(lines) <= _MAX_SIGNATURES:
        raise NoteError(f"a note carries 1 to {_MAX_SIGNATURES} signatures")
    signers: list[Verifier] = []
    for line in lines:
        name, signature = _signature_line(line)
        key = known.get((name, signature[:4]))
        if key is None:
            continue
        if not key.accepts(text.encode(), signature[4:]):
            raise NoteError(f"the signature by {name} is wrong")
        signers.append(key)
    if not signers:
        raise NoteError("the note is not signed by the given key")
    return text, tuple(signers)


def _signature_line(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not name:
        raise NoteError("a signature line is malformed")
    try:
        signature = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise NoteError("a signature is not base64") from None
    if len(signature) < 5:
        raise NoteError("a signature is too short")
    return name, signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A head of the log. ``at`` travels as an extension line: every entry below ``size`` was
    recorded before it."""

    origin: str
    size: int
    root: bytes
    at: datetime | None = None

    def text(self) -> str:
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode()]
        if self.at is not None:
            lines.append(_TIME + stamp(self.at))
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise NoteError("a checkpoint has at least an origin, a size and a root")
        origin, size, root, *extensions = lines[:-1]
        if not size.isascii() or not size.isdigit() or (size[0] == "0" and size != "0"):
            raise NoteError("the size of the checkpoint is not a plain number")
        try:
            root_bytes = base64.b64decode(root, validate=True)
        except (ValueError, binascii.Error):
            raise NoteError("the root of the checkpoint is not base64") from None
        if len(root_bytes) != 32 or len(size) > 18:
            raise NoteError("the checkpoint has a wrong root or size")
        return cls(origin=origin, size=int(size), root=root_bytes, at=_time_of(extensions))

    @classmethod
    def open(cls, note: str, verifiers: Sequence[Verifier], *, origin: str) -> Checkpoint:
        """Check the signature and the origin of a signed checkpoint, then read it."""
        text, _ = open_note(note, verifiers)
        checkpoint = cls.parse(text)
        if checkpoint.origin != origin:
            raise NoteError(f"the checkpoint is of the log {checkpoint.origin}, not {origin}")
        return checkpoint


def _time_of(extensions: Sequence[str]) -> datetime | None:
    for line in extensions:
        if line.startswith(_TIME):
            try:
                return datetime.strptime(line[len(_TIME) :], "%Y-%m-%dT%H:%M:%S.%fZ").replace(
                    tzinfo=UTC
                )
            except ValueError:
                raise NoteError("the time of the checkpoint cannot be read") from None
    return None


def stamp(at: datetime) -> str:
    """UTC, microseconds, Z: the one form of a time in the ledger."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
