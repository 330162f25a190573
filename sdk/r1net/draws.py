"""Which submissions are replayed, and by whom: pure functions of a block's hash that anyone can repeat.

The block is mined after the submission is fixed by its receipt, or the gradients by their commitments, so that neither
the worker nor the coordinator knows the draw before. Whoever produces that block could discard it for another hash, at
the price of the block.
"""

from __future__ import annotations

from r1net.protocol.canonical import sha256


def seed(block_hash: str, traces_root: str) -> str:
    """The seed of one submission's draw."""
    return sha256(b"r1net/draw/1" + bytes.fromhex(block_hash[2:]) + bytes.fromhex(traces_root[2:]))


def slot_seed(seed: str, worker: str) -> str:
    """The seed of the draw of one trainer's slot, from its attempt's."""
    return sha256(f"{seed}/slot {worker.lower()}".encode())


def is_drawn(seed: str, rate: float) -> bool:
    """Whether a submission is replayed."""
    return int(seed[2:18], 16) < rate * 2**64


def positions(seed: str, count: int, most: int) -> tuple[int, ...]:
    """Which of a submission's `count` traces are replayed, `most` at most."""
    order = sorted(range(count), key=lambda position: sha256(f"{seed}/trace {position}".encode()))
    return tuple(sorted(order[:most]))


def rank(seed: str, worker: str) -> str:
    """The order in which workers are asked to vote: the lowest first."""
    return sha256(f"{seed}/{worker.lower()}".encode())
