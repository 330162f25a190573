"""One process for each worker: two with one identity would fight over leases and over the libp2p address."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r1net.errors import PreflightError

_DRAIN = "drain"
"""A file beside the lock by which another process asks the worker to stop: unlike a signal it reaches the worker from
another container too, and never anybody else."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the worker's lock. Raises PreflightError when another process does."""
    words = f"worker {folder.name!r} is running already"
    with holding(folder, words, "give each worker its own --worker name"):
        withdraw_request(folder)
        yield


def request_stop(folder: Path) -> None:
    """Ask the process that holds the worker's lock to stop after the task in hand."""
    (folder / _DRAIN).touch()


def withdraw_request(folder: Path) -> None:
    """Ask no more."""
    (folder / _DRAIN).unlink(missing_ok=True)


def stop_requested(folder: Path) -> bool:
    """Whether the worker is asked to stop."""
    return os.path.exists(folder / _DRAIN)  # False, not an error, where the folder can't be read any more


@contextmanager
def holding(folder: Path, words: str, hint: str) -> Iterator[None]:
    """Hold a folder's lock. Raises PreflightError with these words when another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PreflightError(words, hint=hint) from None
        yield


@contextmanager
def taking_turns(file: Path) -> Iterator[None]:
    """Hold the lock of a file, once no other process does: for what takes a moment."""
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def running(folder: Path) -> bool:
    """Whether a process holds the worker's lock."""
    if not (folder / "lock").exists():
        return False
    try:
        with exclusive(folder):
            return False
    except PreflightError:
        return True
