from __future__ import annotations

import ast
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import merkle
from audit.merkle import Frontier, ProofError

# Published test vectors of RFC 6962's reference implementation (certificate-transparency).
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(str(n).encode()) for n in range(count)]


def subtree(hashes: list[bytes]) -> merkle.Subtree:
    return lambda start, end: merkle.root_of(hashes[start:end])


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_agree_with_the_published_vectors(size: int) -> None:
    hashes = [merkle.leaf_hash(value) for value in INPUTS[:size]]

    assert merkle.root_of(hashes).hex() == ROOTS[size - 1]


def test_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier().root() == sha256(b"").digest()


@pytest.mark.parametrize(("place", "path"), INCLUSION.items())
def test_inclusion_proofs_agree_with_the_published_vectors(
    place: tuple[int, int], path: list[str]
) -> None:
    index, size = place
    hashes = [merkle.leaf_hash(value) for value in INPUTS[:size]]

    proof = merkle.inclusion_proof(index, size, subtree(hashes))

    assert [step.hex() for step in proof] == path


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_every_leaf_can_be_proven(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)

    proof = merkle.inclusion_proof(index, size, subtree(hashes))

    merkle.verify_inclusion(
        leaf=hashes[index], index=index, size=size, proof=proof, root=merkle.root_of(hashes)
    )


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_every_tree_extends_its_beginnings(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 300))
    old = data.draw(st.integers(1, new))
    hashes = leaves(new)

    proof = merkle.consistency_proof(old, new, subtree(hashes))

    merkle.verify_consistency(
        old=old,
        new=new,
        old_root=merkle.root_of(hashes[:old]),
        new_root=merkle.root_of(hashes),
        proof=proof,
    )


def mutate(data: st.DataObject, proof: list[bytes]) -> list[bytes]:
    """One of: a flipped bit, a step dropped, doubled, added, or two steps exchanged."""
    changed = list(proof)
    act = data.draw(st.sampled_from(["flip", "drop", "double", "add", "swap"]))
    at = data.draw(st.integers(0, max(0, len(proof) - 1)))
    if act == "flip" and changed:
        value = bytearray(changed[at])
        value[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
        changed[at] = bytes(value)
    elif act == "drop" and changed:
        del changed[at]
    elif act == "double" and changed:
        changed.insert(at, changed[at])
    elif act == "swap" and len(changed) > 1:
        changed[at], changed[at - 1] = changed[at - 1], changed[at]
    else:
        changed.insert(at, bytes(32))
    return changed


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_no_mutated_inclusion_proof_verifies(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 200))
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    proof = mutate(data, merkle.inclusion_proof(index, size, subtree(hashes)))

    with pytest.raises(ProofError):
        merkle.verify_inclusion(
            leaf=hashes[index], index=index, size=size, proof=proof, root=merkle.root_of(hashes)
        )


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_no_mutated_consistency_proof_verifies(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 200))
    old = data.draw(st.integers(1, new - 1))
    hashes = leaves(new)
    proof = mutate(data, merkle.consistency_proof(old, new, subtree(hashes)))

    with pytest.raises(ProofError):
        merkle.verify_consistency(
            old=old,
            new=new,
            old_root=merkle.root_of(hashes[:old]),
            new_root=merkle.root_of(hashes),
            proof=proof,
        )


@given(st.integers(2, 120), st.data())
@settings(max_examples=100, deadline=None)
def test_a_proof_holds_for_its_own_place_only(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index))
    hashes = leaves(size)
    proof = merkle.inclusion_proof(index, size, subtree(hashes))

    with pytest.raises(ProofError):
        merkle.verify_inclusion(
            leaf=hashes[index], index=other, size=size, proof=proof, root=merkle.root_of(hashes)
        )


@given(st.integers(0, 400), st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_a_frontier_goes_on_from_its_bytes(first: int, more: int) -> None:
    hashes = leaves(first + more)
    frontier = Frontier()
    for leaf in hashes[:first]:
        frontier.append(leaf)

    resumed = Frontier.from_bytes(first, frontier.to_bytes())
    for leaf in hashes[first:]:
        resumed.append(leaf)

    assert resumed.root() == merkle.root_of(hashes)
    assert resumed.size == first + more


@pytest.mark.parametrize(("size", "packed"), [(3, bytes(32)), (0, bytes(32)), (1, bytes(31))])
def test_a_frontier_of_the_wrong_shape_is_refused(size: int, packed: bytes) -> None:
    with pytest.raises(ProofError):
        Frontier.from_bytes(size, packed)


def test_the_tree_imports_nothing_but_hashing() -> None:
    source = Path(merkle.__file__).read_text()

    imported = {
        getattr(node, "module", None) or node.names[0].name  # type: ignore[attr-defined]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert imported == {"__future__", "collections.abc", "hashlib"}
