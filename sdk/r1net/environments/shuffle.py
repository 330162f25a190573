"""An order of n things that is a pure function of a seed, and of which any place is known without the others."""

from __future__ import annotations

from r1net.protocol.seeds import derive_seed

_ROUNDS = 6


def shuffled(position: int, size: int, seed: int) -> int:
    """The number at `position` of a permutation of [0, size): a Feistel network over the next power of four, walked
    until it is inside (Black & Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002, section 3)."""
    assert 0 <= position < size
    half = max(1, -(-(size - 1).bit_length() // 2))
    found = position
    while True:
        found = _feistel(found, half, seed)
        if found < size:
            return found


def _feistel(value: int, half: int, seed: int) -> int:
    left, right = value >> half, value & ((1 << half) - 1)
    for number in range(_ROUNDS):
        left, right = right, left ^ derive_seed(seed, "shuffle", number, right, bits=half)
    return left << half | right
