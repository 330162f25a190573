"""`python -m r1net.sandbox.zygote`: loads the libraries once, then forks a process for each job.

It speaks with its parent over the socket on its standard input, one JSON message a packet; a process's channel comes as
a file descriptor beside the message. It never reads a stranger's byte itself. When the parent is gone, so is it, and
every process that it forked.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
from typing import Any

from r1net.sandbox import guard
from r1net.sandbox.confine import restrict_files, restrict_process
from r1net.sandbox.grader import serve
from r1net.sandbox.limits import Limits

PACKET = 1 << 16
NICENESS = 5
"""Whoever asks goes first: however much there is to grade, its own requests are answered."""


def main() -> None:
    """Serve until the parent is gone."""
    control = socket.socket(fileno=os.dup(0))
    hello = json.loads(control.recv(PACKET))
    os.nice(NICENESS)
    instructions, limits = bytes.fromhex(hello["filter"]), Limits(**hello["limits"])
    _load_libraries()
    guard.install()
    missing = restrict_files(hello["readable"])
    os.dup2(1, 2)
    gc.collect()
    gc.freeze()
    _answer(control, {"no_landlock": missing})
    children: dict[int, int] = {}
    while True:
        packet, descriptors, _, _ = socket.recv_fds(control, PACKET, 1)
        if not packet:
            break
        message = json.loads(packet)
        if message["op"] == "fork":
            children[message["id"]] = _fork(control, descriptors[0], instructions, limits)
        else:
            _answer(control, {"signal": _end(children.pop(message["id"]))})
    for pid in children.values():
        _end(pid)


def _load_libraries() -> None:
    """Everything that takes long, so that a fork has it."""
    import py3langid.langid  # noqa: F401, PLC0415
    import reasoning_gym  # noqa: F401, PLC0415
    import sympy  # noqa: F401, PLC0415
    import tokenizers  # noqa: F401, PLC0415

    import r1net.scoring  # noqa: F401, PLC0415
    from r1net.rewards import mathematics  # noqa: PLC0415

    mathematics.warm()


def _answer(control: socket.socket, message: dict[str, Any]) -> None:
    control.sendall(json.dumps(message).encode())


def _fork(control: socket.socket, descriptor: int, instructions: bytes, limits: Limits) -> int:
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    status = 1
    try:
        control.close()
        channel = socket.socket(fileno=descriptor)
        restrict_process(channel, instructions, limits)
        serve(channel, limits)
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


if __name__ == "__main__":
    main()
