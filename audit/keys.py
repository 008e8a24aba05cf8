"""Key files: the Ed25519 seed that signs checkpoints and the key that wraps payload keys.

Both are 32 random bytes as base64 on one line, mode 0600, outside the database. A file is made
once and never overwritten.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from pathlib import Path

from django.conf import settings

from audit.errors import KeyUnavailable
from audit.notes import Signer, Verifier

_BYTES = 32


def read_key(path: Path) -> bytes:
    """The 32 bytes of a key file; raise KeyUnavailable with the reason."""
    try:
        raw = base64.b64decode(path.read_text(encoding="ascii").strip(), validate=True)
    except FileNotFoundError:
        raise KeyUnavailable(f"there is no key file {path.name}") from None
    except OSError as problem:
        raise KeyUnavailable(
            f"the key file {path.name} cannot be read: {problem.strerror}"
        ) from problem
    except (ValueError, binascii.Error):
        raise KeyUnavailable(f"the key file {path.name} is not base64") from None
    if len(raw) != _BYTES:
        raise KeyUnavailable(f"the key file {path.name} does not hold {_BYTES} bytes")
    return raw


def read_or_make_key(path: Path) -> tuple[bytes, bool]:
    """The key, and whether it was made now. Two processes that start at once get the same one."""
    try:
        return read_key(path), False
    except KeyUnavailable:
        if path.exists():
            raise
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(base64.b64encode(secrets.token_bytes(_BYTES)).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link is atomic and fails when the other process was first: nobody reads half a key.
        os.link(draft, path)
        made = True
    except FileExistsError:
        made = False
    finally:
        draft.unlink()
    return read_key(path), made


def signer() -> Signer:
    """The signing key of this log; raise KeyUnavailable where it may not be read."""
    return Signer(settings.AUDIT_ORIGIN, read_key(Path(settings.AUDIT_KEY_FILE)))


def signer_made_when_missing() -> tuple[Signer, bool]:
    seed, made = read_or_make_key(Path(settings.AUDIT_KEY_FILE))
    return Signer(settings.AUDIT_ORIGIN, seed), made


def verifiers(rows: list[tuple[str]]) -> list[Verifier]:
    """Verifier keys from the rows of audit.key."""
    return [Verifier.parse(vkey) for (vkey,) in rows]
