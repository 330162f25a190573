"""Merkle trees in the format of OpenZeppelin's StandardMerkleTree (`standard-v1`).

Leaf = keccak256(keccak256(abi.encode(row))), which no inner node can equal (second pre-image safe);
inner node = keccak256 of the sorted pair; leaves sorted by hash; the tree is a complete binary heap array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from r1net.errors import ProtocolError

Row = Sequence[Any]


def _abi_value(kind: str, value: Any) -> Any:
    if kind.startswith("bytes") and isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x"))
    return value


def leaf_hash(row: Row, types: Sequence[str]) -> bytes:
    """Double keccak of the ABI encoding of one row. Raises ProtocolError when the row doesn't fit the types."""
    if len(row) != len(types):
        raise ProtocolError(f"row has {len(row)} values for {len(types)} types")
    return keccak(
        keccak(encode(list(types), [_abi_value(kind, value) for kind, value in zip(types, row, strict=True)]))
    )


def _parent(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a < b else b + a)


class StandardMerkleTree:
    """A tree over `rows` of ABI `types`. Empty trees are refused: a root must commit to something."""

    def __init__(self, rows: list[Row], types: list[str]) -> None:
        if not rows:
            raise ProtocolError("a Merkle tree needs at least one row")
        self.rows = rows
        self.types = types
        hashed = sorted((leaf_hash(row, types), index) for index, row in enumerate(rows))
        size = 2 * len(rows) - 1
        self._nodes = [b""] * size
        self._position = [0] * len(rows)
        for offset, (leaf, index) in enumerate(hashed):
            self._nodes[size - 1 - offset] = leaf
            self._position[index] = size - 1 - offset
        for node in range(size - 1 - len(rows), -1, -1):
            self._nodes[node] = _parent(self._nodes[2 * node + 1], self._nodes[2 * node + 2])

    @classmethod
    def of(cls, rows: Sequence[Row], types: Sequence[str]) -> StandardMerkleTree:
        """Build a tree; the order of `rows` doesn't change the root."""
        return cls(list(rows), list(types))

    @property
    def root(self) -> str:
        """The root, `0x` hex."""
        return "0x" + self._nodes[0].hex()

    def proof(self, index: int) -> list[str]:
        """Sibling hashes from the leaf of `rows[index]` up to the root, `0x` hex."""
        node, path = self._position[index], []
        while node > 0:
            sibling = node + 1 if node % 2 else node - 1
            path.append("0x" + self._nodes[sibling].hex())
            node = (node - 1) // 2
        return path

    def __len__(self) -> int:
        return len(self.rows)


def proved_root(types: Sequence[str], row: Row, proof: Sequence[str]) -> str:
    """The root that a proof leads to from `row`, `0x` hex."""
    node = leaf_hash(row, types)
    for sibling in proof:
        node = _parent(node, bytes.fromhex(sibling.removeprefix("0x")))
    return "0x" + node.hex()


def verify(root: str, types: Sequence[str], row: Row, proof: Sequence[str]) -> bool:
    """Whether `row` is in the tree with `root`."""
    return proved_root(types, row, proof) == root.lower()
