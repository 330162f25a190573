"""Processes for programs that models write: limits, and the zygote that has nothing else in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from r1net.sandbox.limits import Limits
from r1net.sandbox.pool import SandboxPool
from r1net.sandbox.process import Zygote

_WALL_FACTOR, _WALL_SLACK = 4.0, 2.0
"""A program that sleeps is ended sooner than other processes: models write them by the thousand."""


def program_limits(pool: SandboxPool, seconds: float, memory_bytes: int) -> Limits:
    """What a program may take that its job allows so much."""
    return replace(pool.limits, grade_seconds=seconds * pool.limits.own_seconds, memory_bytes=memory_bytes)


def program_wall(grade_seconds: float) -> float:
    """Seconds of real time that are waited for a program."""
    return grade_seconds * _WALL_FACTOR + _WALL_SLACK


@contextmanager
def programs(pool: SandboxPool, job: str, limits: Limits, hash_seed: int = 0) -> Iterator[Zygote]:
    """A zygote to fork processes of programs from, in the turn of `job`."""
    codes = pool.codes.zygote(f"programs {limits} {hash_seed}", _nothing, limits, hash_seed)
    with pool.turn(job), codes as (zygote, _):
        yield zygote


def _nothing(_folder: Path) -> None:
    """Programs bring no files."""
