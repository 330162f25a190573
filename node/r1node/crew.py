"""Several workers by one command: a process for each device, started again when it breaks, stopped together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from r1node.events import Events

RESTARTS = (5.0, 15.0, 60.0, 300.0)
"""Seconds before a worker that broke is started again; the last repeats."""
LASTED = 600.0
"""Seconds of work after which a worker that breaks is started again as if for the first time."""
FINAL = {0, 2, 3, 4, 5}
"""Exit codes after which starting again would help nothing: left, usage, preflight, keys, chain."""
LOOK = 0.2


@dataclass(frozen=True)
class Post:
    """One worker's command line, and its name."""

    name: str
    command: Sequence[str]


@dataclass
class Crew:
    """Runs a worker for each post. Each reads the password from a pipe, so that it stands in no file and on no command
    line."""

    posts: Sequence[Post]
    password: str
    events: Events
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _signals: list[int] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _codes: dict[str, int] = field(default_factory=dict)

    def run(self) -> int:
        """Until all have ended; returns the first exit code that isn't 0, or 0. To be called on the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda heard, _: self._heard(heard))
        threads = [threading.Thread(target=self._keep, args=(post,), name=post.name) for post in self.posts]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self._pass_signals_on()
            time.sleep(LOOK)
        return next((max(code, 1) for code in self._codes.values() if code), 0)  # below 0 are signals

    def _heard(self, number: int) -> None:
        self._over.set()
        self._signals.append(number)

    def _pass_signals_on(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            for process in list(self._running.values()):
                process.send_signal(number)

    def _keep(self, post: Post) -> None:
        """One worker, until it ends for good."""
        breaks = 0
        while not self._over.is_set():
            began = time.monotonic()
            code = self._once(post)
            self._codes[post.name] = code
            if code in FINAL or self._over.is_set():
                break
            breaks = 0 if time.monotonic() - began > LASTED else breaks
            pause = RESTARTS[min(breaks, len(RESTARTS) - 1)]
            breaks += 1
            self.events.alert("restart", f"worker {post.name!r} ended with {code}; starting it again in {pause:g} s")
            self._over.wait(pause)
        if self._codes.get(post.name, 0):
            self.events.note("ended", f"worker {post.name!r} ended with {self._codes[post.name]}")

    def _once(self, post: Post) -> int:
        reading, writing = os.pipe()
        with os.fdopen(writing, "w") as pipe:
            pipe.write(f"{self.password}\n")  # a line fits into a pipe that nobody reads yet
        try:
            process = subprocess.Popen(  # noqa: S603 - this program itself
                [*post.command, "--password-file", f"/dev/fd/{reading}"],
                pass_fds=(reading,),
                stdin=subprocess.PIPE,  # it ends with this process, and the worker with it
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C comes from here, once
            )
        finally:
            os.close(reading)
        self._running[post.name] = process
        assert process.stdout is not None
        assert process.stderr is not None
        prefix = self._prefix(post.name)
        readers = [
            threading.Thread(target=_copy, args=(process.stdout, sys.stdout, prefix)),
            threading.Thread(target=_copy, args=(process.stderr, sys.stderr, prefix)),
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        with process:
            code = process.wait()
        del self._running[post.name]
        return code

    def _prefix(self, name: str) -> Callable[[str], str]:
        def named(line: str) -> str:
            try:
                said = json.loads(line)
            except ValueError:
                said = None
            return json.dumps({"worker": name, **said}) if isinstance(said, dict) else f"{name:<6} {line}"

        return named


def tie_to_input() -> None:
    """End this process, as by SIGTERM, when its standard input ends: when the one that started it is gone."""

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock a thread must not hold when Python ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="tied", daemon=True).start()


def _copy(source: IO[bytes], target: IO[str], named: Callable[[str], str]) -> None:
    for line in source:
        print(named(line.decode(errors="replace").rstrip("\n")), file=target, flush=True)
