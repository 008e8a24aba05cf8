"""A deterministic ZIP whose manifest is signed: fixed times, fixed order, fixed compression."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.resources import files
from types import TracebackType
from typing import IO, Any, Final

from audit import merkle
from audit.notes import Signer
from audit.queries import subtree
from audit.reports import verify

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class Sealed:
    """Files go in one after the other; ``sign`` writes the manifest last."""

    def __init__(self, file: IO[bytes], signer: Signer) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._signer = signer
        self._listed: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Sealed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def add(self, name: str, content: bytes) -> None:
        with self.growing(name) as out:
            out(content)

    def add_stream(self, name: str, source: IO[bytes]) -> None:
        source.seek(0)
        with self.growing(name) as out:
            while piece := source.read(1 << 20):
                out(piece)

    @contextmanager
    def growing(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """A file that is written piece by piece."""
        digest, total = sha256(), 0
        with self._zip.open(_member(name), "w", force_zip64=True) as member:

            def out(piece: bytes) -> None:
                nonlocal total
                member.write(piece)
                digest.update(piece)
                total += len(piece)

            yield out
        self._listed[name] = {"bytes": total, "sha256": digest.hexdigest()}

    def sign(self, manifest: dict[str, Any]) -> None:
        name = self._signer.verifier.name
        whole = {**manifest, "origin": name, "files": self._listed}
        raw = json.dumps(whole, sort_keys=True, indent=1, ensure_ascii=True).encode() + b"\n"
        text = f"{verify.MANIFEST_HEAD}\n{name}\nsha256 {sha256(raw).hexdigest()}\n"
        for member, content in (
            ("manifest.json", raw),
            ("manifest.note", self._signer.sign(text).encode()),
        ):
            with self._zip.open(_member(member), "w", force_zip64=True) as out:
                out.write(content)


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, date_time=_EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3
    member.external_attr = 0o644 << 16
    return member


def program() -> bytes:
    """The verifier as it travels in every bundle."""
    return files("audit.reports").joinpath("verify.py").read_bytes()


def proven_line(cursor: Any, seq: int, size: int, body: bytes) -> bytes:
    """An entry with its inclusion proof under the checkpoint of ``size``, as one line of JSON."""
    path = merkle.inclusion_proof(seq, size, lambda start, end: subtree(cursor, start, end))
    line = {
        "seq": seq,
        "path": [base64.b64encode(step).decode() for step in path],
        "entry": body.decode(),
    }
    return json.dumps(line, sort_keys=True, ensure_ascii=True).encode() + b"\n"
