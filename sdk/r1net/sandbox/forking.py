"""A process that forks others on demand: what every zygote does, whatever its children serve.

It speaks with its parent over the socket on its standard input, one JSON message a packet; a process's channel comes as
a file descriptor beside the message. It never reads a stranger's byte itself. When the parent is gone, so is it, and
every process that it forked. Imports nothing but the standard library and what confines: strangers' own code runs in
children of a zygote that has nothing else.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from r1net.sandbox.confine import restrict_files, restrict_process
from r1net.sandbox.limits import Limits

PACKET = 1 << 16
NICENESS = 5
"""Whoever asks goes first: however much there is to grade, its own requests are answered."""

Serve = Callable[[socket.socket, Limits], None]
"""What a forked process does with its channel, until nobody asks any more."""


def run(serve: Serve, load: Callable[[], None], mapped: int | None = None) -> None:
    """Fork processes that `serve` until the parent is gone. `load` takes long, so it comes before the first fork.

    `mapped`: the bytes of address space that a process is taken to hold at its start; what it really holds where None.
    """
    control = socket.socket(fileno=os.dup(0))
    hello = json.loads(control.recv(PACKET))
    os.nice(NICENESS)
    instructions, limits = bytes.fromhex(hello["filter"]), Limits(**hello["limits"])
    load()
    missing = restrict_files(hello["readable"], hello["listed"])
    os.dup2(1, 2)
    os.dup2(1, 0)  # the socket itself: a child that spoke on it would speak for the zygote, to every job's parent
    gc.collect()
    gc.freeze()

    def begin(channel: socket.socket) -> None:
        restrict_process(channel, instructions, limits, mapped)
        serve(channel, limits)

    _answer(control, {"no_landlock": missing})
    children: dict[int, int] = {}
    while True:
        packet, descriptors, _, _ = socket.recv_fds(control, PACKET, 1)
        if not packet:
            break
        message = json.loads(packet)
        if message["op"] == "fork":
            children[message["id"]] = _fork(control, descriptors[0], begin)
        else:
            _answer(control, {"signal": _end(children.pop(message["id"]))})
    for pid in children.values():
        _end(pid)


def _answer(control: socket.socket, message: dict[str, Any]) -> None:
    control.sendall(json.dumps(message).encode())


def _fork(control: socket.socket, descriptor: int, begin: Callable[[socket.socket], None]) -> int:
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    status = 1
    try:
        control.close()
        begin(socket.socket(fileno=descriptor))
        status = 0
    finally:
        os._exit(status)


def _end(pid: int) -> int:
    """Kill a child that may be dead already; the signal that ended it, 0 when it exited by itself."""
    done, status = os.waitpid(pid, os.WNOHANG)
    if not done:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
