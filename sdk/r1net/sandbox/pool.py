"""Who gets a process, and who waits: one job's processes never serve another, and never all at once."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from r1net.sandbox.codes import Codes
from r1net.sandbox.frames import Ended
from r1net.sandbox.limits import Limits
from r1net.sandbox.process import Child, SandboxFailed, Zygote

_KEPT = 16
"""Idle processes that keep their jobs loaded: they share most of their memory."""
_PATIENCE = 120.0

Prepare = Callable[[Child], None]
"""Loads a job into a fresh process. Whatever it raises ends the process and reaches the one who asked."""


class ProcessEnded(Exception):
    """The process ended over its work: `signal` is what ended it, 0 when it exited by itself."""

    def __init__(self, signal: int, words: str) -> None:
        super().__init__(words)
        self.signal = signal


class SandboxPool:
    """Processes by job. Safe for threads; starts its first process at the first use, or by `start`.

    At most `processes` work at the same time, and of one job all but one of them, so that a job whose completions take
    long doesn't keep the others waiting.
    """

    def __init__(self, processes: int = 0, limits: Limits | None = None, unsafe: bool = False) -> None:
        self._processes = processes or max(2, os.cpu_count() or 2)
        self.limits = limits or Limits()
        self._unsafe = unsafe
        self.codes = Codes(unsafe)
        self._changed = threading.Condition()
        self._starting = threading.Lock()
        self._zygote: Zygote | None = None
        self._closed = False
        self._busy: dict[str, int] = {}
        self._idle: OrderedDict[Child, str] = OrderedDict()

    def start(self) -> tuple[str, ...]:
        """Make sure that it runs; returns the layers of its boundary. Raises PreflightError, SandboxFailed."""
        return self._running().layers

    @contextmanager
    def process(self, job: str, prepare: Prepare, keep: bool = True) -> Iterator[Child]:
        """A process that has the job loaded, kept for the next one who asks. An exception within ends it.

        Raises ProcessEnded in place of Ended, and SandboxFailed when all stay busy or the sandbox itself is broken.
        """
        with self.turn(job):
            child = self._take(job)
            fresh = child is None
            child = child or self._fork()
            try:
                if fresh:
                    prepare(child)
                yield child
            except Ended as error:
                raise ProcessEnded(child.end(), str(error)) from error
            except BaseException:
                child.end()
                raise
            if keep:
                self._keep(child, job)
            else:
                child.end()

    @contextmanager
    def turn(self, job: str) -> Iterator[None]:
        """A place among the processes that work at the same time. Raises SandboxFailed when all stay busy."""
        self._enter(job)
        try:
            yield
        finally:
            self._leave(job)

    def close(self) -> None:
        """End every process."""
        self.codes.close()
        with self._starting:
            self._closed = True
            self._forget()

    def _running(self) -> Zygote:
        with self._starting:
            if self._closed:
                raise SandboxFailed("the sandbox was closed")
            if self._zygote is None:
                self._zygote = Zygote(self.limits, self._unsafe)
            return self._zygote

    def _enter(self, job: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        with self._changed:
            while not self._may_enter(job):
                if not self._changed.wait(deadline - time.monotonic()):
                    raise SandboxFailed("every sandboxed process is busy", hint="try again in a while")
            self._busy[job] = self._busy.get(job, 0) + 1

    def _may_enter(self, job: str) -> bool:
        most = max(1, self._processes - 1)
        return sum(self._busy.values()) < self._processes and self._busy.get(job, 0) < most

    def _leave(self, job: str) -> None:
        with self._changed:
            self._busy[job] -= 1
            if not self._busy[job]:
                del self._busy[job]
            self._changed.notify_all()

    def _take(self, job: str) -> Child | None:
        with self._changed:
            found = next((child for child, of in reversed(self._idle.items()) if of == job), None)
            if found is not None:
                del self._idle[found]
            return found

    def _fork(self) -> Child:
        zygote = self._running()
        try:
            return zygote.fork()
        except SandboxFailed:
            with self._starting:
                if self._zygote is zygote:  # it was killed, and its children with it
                    self._forget()
            return self._running().fork()

    def _forget(self) -> None:
        """Without a zygote no child lives."""
        zygote, self._zygote = self._zygote, None
        with self._changed:
            for child in self._idle:
                child.drop()
            self._idle.clear()
        if zygote is not None:
            zygote.close()

    def _keep(self, child: Child, job: str) -> None:
        with self._changed:
            self._idle[child] = job
            old = [self._idle.popitem(last=False)[0] for _ in range(len(self._idle) - _KEPT)]
        for one in old:
            one.end()
