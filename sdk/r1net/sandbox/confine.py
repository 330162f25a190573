"""What a process does to itself before it reads the first byte of a stranger's."""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from landlock import FSAccess, Ruleset

from r1net.sandbox.limits import Limits
from r1net.sandbox.syscalls import load_filter

_FILES = 64
_MAPPED = 768 * 2**20
_PAGE = resource.getpagesize()


def restrict_files(paths: Sequence[str], listed: Sequence[str] = ()) -> str | None:
    """Leave this process and its children only reading, below `paths`, and the names of what lies below `listed`.
    Returns why that failed, or None."""
    try:
        rules = Ruleset()
        for path in listed:
            rules.allow(path, rules=FSAccess.READ_DIR)
        for path in paths:
            reading = FSAccess.READ_FILE | FSAccess.READ_DIR if Path(path).is_dir() else FSAccess.READ_FILE
            rules.allow(path, rules=reading)
        rules.apply()
        os.close(rules._fd)
    except Exception as error:  # the library raises its own errors, OSError or AttributeError, as the kernel lacks it
        return f"no Landlock: {error}"
    return None


def restrict_process(channel: socket.socket, instructions: bytes, limits: Limits, mapped: int | None = None) -> None:
    """Bounds on memory, files and processes; only `channel` stays open; then the filter of system calls.

    The bound on memory goes on top of `mapped` bytes; None: of what is mapped now. Without `instructions` (nowhere but
    where a person has allowed to go without a boundary) there is no filter.
    """
    keep = channel.fileno()
    os.closerange(3, keep)
    os.closerange(keep + 1, 4096)
    held = _address_space() if mapped is None else mapped
    bounds = {
        resource.RLIMIT_AS: held + limits.memory_bytes,
        resource.RLIMIT_NOFILE: _FILES,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    for which, bound in bounds.items():
        resource.setrlimit(which, (bound, bound))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    if instructions:
        load_filter(instructions)


def _address_space() -> int:
    """Bytes that are mapped now. Without /proc (the boundary has none) the libraries' own maximum is assumed."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE
    except OSError:
        return _MAPPED


def allow_seconds(seconds: float) -> None:
    """End this process (by SIGPROF) when it has used so many seconds of CPU; 0 lifts the bound."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
