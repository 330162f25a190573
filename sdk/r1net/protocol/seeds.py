"""Randomness is derived, never drawn: every seed is a pure function of a root seed and a path of names."""

from __future__ import annotations

import hashlib


def derive_seed(root: int, *path: str | int, bits: int = 63) -> int:
    """A seed in [0, 2^bits) for `path` below `root`.

    SHA-256 over the length-prefixed parts, so that no two paths collide by concatenation.
    `derive_seed(job.seed, "draw", round, group)` is the same on every machine.
    """
    state = hashlib.sha256(b"r1net/seed/1")
    for part in (root, *path):
        encoded = f"{type(part).__name__}:{part}".encode()
        state.update(len(encoded).to_bytes(4, "big") + encoded)
    return int.from_bytes(state.digest()[:8], "big") >> (64 - bits)
