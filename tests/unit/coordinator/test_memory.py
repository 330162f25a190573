"""What is freed goes back to the machine."""

from __future__ import annotations

import ctypes

import psutil

from r1coordinator.memory import give_back

MIB = 2**20


def test_freed_memory_is_given_back() -> None:
    libc = ctypes.CDLL("libc.so.6")
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    size = 64 * 1024  # below the size from which on malloc asks the machine for each block
    blocks = [libc.malloc(size) for _ in range(2000)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks[:-1]:  # the last one keeps the top of the heap where it is
        libc.free(block)
    before = psutil.Process().memory_info().rss
    give_back()
    after = psutil.Process().memory_info().rss
    libc.free(blocks[-1])
    assert before - after > 60 * MIB
