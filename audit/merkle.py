"""The Merkle tree of RFC 6962: hashes, a growing frontier, proofs and their verification.

Pure: values in, values out. A verifier never trusts the length of a proof it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

# Gives the root of the leaves in [start, end); the range is always a complete, aligned subtree
# or the ragged right edge of the tree.
Subtree = Callable[[int, int], bytes]


class ProofError(ValueError):
    """A proof or a frontier does not hold; the message says what is wrong with it."""


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a tree: all that is needed to go on appending, at most 64 hashes.

    ``hashes`` are the roots of the complete subtrees from left (largest) to right (smallest), one
    for each 1 in the binary form of ``size``.
    """

    __slots__ = ("_hashes", "_size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self._size = size
        self._hashes = list(hashes)
        if size < 0 or len(self._hashes) != size.bit_count():
            raise ProofError(f"a tree of {size} entries cannot have {len(self._hashes)} peaks")
        if any(len(value) != HASH_BYTES for value in self._hashes):
            raise ProofError("a peak of the frontier is not 32 bytes long")

    @classmethod
    def from_bytes(cls, size: int, packed: bytes) -> Frontier:
        if len(packed) % HASH_BYTES:
            raise ProofError("the frontier is not a whole number of hashes")
        return cls(size, (packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)))

    def to_bytes(self) -> bytes:
        return b"".join(self._hashes)

    @property
    def size(self) -> int:
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        merged = leaf
        bits = self._size
        hashes = self._hashes
        while bits & 1:
            merged = sha256(b"\x01" + hashes.pop() + merged).digest()
            bits >>= 1
        hashes.append(merged)
        self._size += 1

    def root(self) -> bytes:
        if not self._hashes:
            return EMPTY_ROOT
        result = self._hashes[-1]
        for peak in reversed(self._hashes[:-1]):
            result = node_hash(peak, result)
        return result

    def copy(self) -> Frontier:
        return Frontier(self._size, self._hashes)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def split(size: int) -> int:
    """The largest power of two below ``size``: where RFC 6962 divides a tree."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The path that proves leaf ``index`` in the tree of ``size``, from the leaf upwards."""
    if not 0 <= index < size:
        raise ProofError(f"there is no entry {index} in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    path.reverse()
    return path


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """What proves that the tree of size ``new`` begins with the tree of size ``old``."""
    if not 0 < old <= new:
        raise ProofError(f"no consistency proof from {old} to {new}")
    path: list[bytes] = []
    start, end = 0, new
    whole = True
    while old != end:
        middle = start + split(end - start)
        if old <= middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start, whole = middle, False
    if not whole:
        path.append(subtree(start, end))
    path.reverse()
    return path


def verify_inclusion(
    *, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Raise ProofError unless the proof leads from the leaf at ``index`` to ``root``."""
    if not 0 <= index < size:
        raise ProofError(f"there is no entry {index} in a tree of {size}")
    _check_hashes(proof)
    inner, last = index, size - 1
    result = leaf
    for step in proof:
        if last == 0:
            raise ProofError("the inclusion proof is too long")
        if inner & 1 or inner == last:
            result = node_hash(step, result)
            while not inner & 1 and inner:
                inner >>= 1
                last >>= 1
        else:
            result = node_hash(result, step)
        inner >>= 1
        last >>= 1
    if last:
        raise ProofError("the inclusion proof is too short")
    if result != root:
        raise ProofError("the inclusion proof leads to another root")


def verify_consistency(
    *, old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise ProofError unless the tree of size ``new`` extends the tree of size ``old``."""
    if not 0 < old <= new:
        raise ProofError(f"no consistency proof from {old} to {new}")
    _check_hashes(proof)
    if old == new:
        if proof or old_root != new_root:
            raise ProofError("two trees of the same size have different roots")
        return
    steps = list(proof)
    if not old & (old - 1):
        steps.insert(0, old_root)
    if not steps:
        raise ProofError("the consistency proof is too short")
    inner, last = old - 1, new - 1
    while inner & 1:
        inner >>= 1
        last >>= 1
    from_old = from_new = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofError("the consistency proof is too long")
        if inner & 1 or inner == last:
            from_old = node_hash(step, from_old)
            from_new = node_hash(step, from_new)
            while not inner & 1 and inner:
                inner >>= 1
                last >>= 1
        else:
            from_new = node_hash(from_new, step)
        inner >>= 1
        last >>= 1
    if last:
        raise ProofError("the consistency proof is too short")
    if from_old != old_root:
        raise ProofError("the consistency proof does not start at the old root")
    if from_new != new_root:
        raise ProofError("the consistency proof does not lead to the new root")


def _check_hashes(proof: Sequence[bytes]) -> None:
    if any(len(step) != HASH_BYTES for step in proof):
        raise ProofError("a step of the proof is not 32 bytes long")
