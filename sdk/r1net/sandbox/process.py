"""The parent's side: the process that forks, and each process that it forked."""

from __future__ import annotations

import dataclasses
import json
import logging
import secrets
import socket
import subprocess
import tempfile
import threading
import time
from functools import partial
from typing import Any

from pydantic_core import from_json

from r1net.errors import PreflightError, R1Error
from r1net.sandbox.boundary import Inside, bubblewrapped, grader
from r1net.sandbox.frames import Ended, Silent, receive, send
from r1net.sandbox.limits import FRAME_BYTES, WALL_FACTOR, WALL_SLACK, Limits
from r1net.sandbox.syscalls import compile_filter

log = logging.getLogger(__name__)

START_SECONDS = 90.0
_ANSWER_SECONDS = 30.0
_PACKET = 1 << 16
_parse = partial(from_json, allow_inf_nan=False)
"""Bounds the depth of what a process says."""


class SandboxFailed(R1Error):
    """The sandbox itself failed: nothing is said about the work. Worth another try."""

    code = "sandbox_failed"


class Zygote:
    """A running zygote: the graders', or what `inside` says. `layers` says what stands between its children and the
    machine.

    Raises PreflightError where this machine offers no boundary, unless `unsafe`.
    """

    def __init__(self, limits: Limits, unsafe: bool = False, inside: Inside | None = None) -> None:
        self.limits = limits
        self._inside = inside or grader()
        self._lock = threading.Lock()
        self._next = 0
        self._faults: list[str] = []
        instructions = self._filter()
        self.layers = self._start_within(instructions)
        if instructions and self.layers:
            self.layers += ("seccomp",)
        elif unsafe:
            self.layers = ()
        else:
            self.close()
            raise PreflightError(
                f"nothing here can hold strangers' text: {'; '.join(self._faults)}",
                hint="install bubblewrap and libseccomp2, or run a kernel with Landlock (5.13 or newer)",
            )
        log.info("sandbox: %s; missing: %s", ", ".join(self.layers) or "none", "; ".join(self._faults) or "nothing")

    def _filter(self) -> bytes:
        try:
            return compile_filter()
        except PreflightError as error:
            self._faults.append(error.message)
            return b""

    def _start_within(self, instructions: bytes) -> tuple[str, ...]:
        """Start behind bubblewrap where that works, else without; the layers there are."""
        inside = self._inside
        wrapped = bubblewrapped(inside)
        layers: tuple[str, ...] = ()
        answer: dict[str, Any] | None = None
        if wrapped is None:
            self._faults.append("bubblewrap is not installed")
        else:
            try:
                answer, layers = self._start(wrapped, instructions, inside.variables), ("bubblewrap",)
            except SandboxFailed as error:
                self._faults.append(f"bubblewrap: {error.message}")
        if answer is None:
            with tempfile.TemporaryDirectory(prefix="r1-sandbox-") as home:  # libraries want one while they load
                answer = self._start(list(inside.program), instructions, inside.variables | {"HOME": home})
        if answer["no_landlock"] is None:
            return (*layers, "landlock")
        self._faults.append(answer["no_landlock"])
        return layers

    def _start(self, program: list[str], instructions: bytes, variables: dict[str, str]) -> dict[str, Any]:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            program,
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=variables,
            start_new_session=True,
            cwd="/",
        )
        theirs.close()
        self._control.settimeout(START_SECONDS)
        hello = {
            "filter": instructions.hex(),
            "limits": dataclasses.asdict(self.limits),
            "readable": self._inside.readable,
            "listed": self._inside.listed,
        }
        assert self._process.stderr is not None
        with self._process.stderr as errors:
            try:
                return self._ask(hello)
            except SandboxFailed as error:
                self.close()
                said = errors.read(4096).decode(errors="replace").strip().splitlines()
                raise SandboxFailed(said[-1] if said else error.message) from error

    def fork(self) -> Child:
        """A fresh process. Raises SandboxFailed."""
        ours, theirs = socket.socketpair()
        with self._lock, theirs:
            self._next += 1
            message = json.dumps({"op": "fork", "id": self._next}).encode()
            try:
                socket.send_fds(self._control, [message], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise SandboxFailed(f"the sandbox is gone: {type(error).__name__}") from error
            return Child(self, self._next, ours)

    def end(self, number: int) -> int:
        """End a child; returns the signal that ended it, 0 when it had exited by itself. Raises SandboxFailed."""
        with self._lock:
            return int(self._ask({"op": "end", "id": number})["signal"])

    def close(self) -> None:
        """End it and all of its children."""
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            self._control.sendall(json.dumps(message).encode())
            packet = self._control.recv(_PACKET)
        except OSError as error:
            raise SandboxFailed(f"the sandbox does not answer: {type(error).__name__}") from error
        if not packet:
            raise SandboxFailed("the sandbox ended")
        answer: dict[str, Any] = json.loads(packet)
        return answer


class Child:
    """One forked process. Not safe for threads. After `Ended` it is no good any more; `end` it, once."""

    def __init__(self, zygote: Zygote, number: int, channel: socket.socket) -> None:
        self._zygote, self._number, self._channel = zygote, number, channel
        self._asked = ""

    def ask(self, header: dict[str, Any], *attachments: bytes) -> dict[str, Any]:
        """One question and its answer, within the set-up limit. Raises Ended."""
        self.tell(header, *attachments)
        return self.hear(self._zygote.limits.setup_seconds)

    def tell(self, header: dict[str, Any], *attachments: bytes) -> None:
        """A question alone. Raises Ended."""
        self._asked = secrets.token_hex(8)
        self._channel.settimeout(_ANSWER_SECONDS)
        send(self._channel, header | {"asked": self._asked}, *attachments)

    def hear(self, seconds: float) -> dict[str, Any]:
        """The next answer, which may take so many seconds of CPU. Raises Ended, Silent; Ended also for an answer that
        was written before its question was asked, or behind the last one."""
        return self.hear_all(seconds)[0]

    def hear_all(self, seconds: float, wall: float | None = None) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        """The next answer and the bytes behind it, within `wall` seconds of real time where that is given. Raises like
        `hear`."""
        deadline = time.monotonic() + (seconds * WALL_FACTOR + WALL_SLACK if wall is None else wall)
        answer, attachments = receive(self._channel, FRAME_BYTES, deadline, _parse)
        if answer.pop("asked", None) != self._asked:
            raise Ended("an answer to a question that nobody asked")
        return answer, attachments

    def end(self) -> int:
        """Kill it if need be; the signal that ended it, 0 when it had exited by itself. Raises SandboxFailed."""
        self.drop()
        return self._zygote.end(self._number)

    def drop(self) -> None:
        """Let go of it; its zygote is gone or going."""
        self._channel.close()


__all__ = ["Child", "Ended", "SandboxFailed", "Silent", "Zygote"]
