"""Which strangers' code is unpacked here, each with a zygote of its own; what nobody uses for long is thrown away."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from r1net.sandbox.bytecode import write_bytecode
from r1net.sandbox.interpreter import alone
from r1net.sandbox.limits import Limits
from r1net.sandbox.process import SandboxFailed, Zygote

_KEPT = 8
"""Each may have half a gigabyte on disk."""

Fill = Callable[[Path], None]
"""Writes a code's files into an empty folder: `own.py`, and below `site` what it imports."""


class _Code:
    """One code; opened by its first user."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.zygote: Zygote | None = None
        self.folder = Path()

    def open(self, fill: Fill, limits: Limits, hash_seed: int, unsafe: bool) -> None:
        folder = Path(tempfile.mkdtemp(prefix="r1-own-")).resolve()
        try:
            fill(folder)
            zygote = Zygote(limits, unsafe, alone(folder, hash_seed))
            write_bytecode(zygote, folder / "site")
        except OSError as error:
            shutil.rmtree(folder)
            raise SandboxFailed(f"no room to unpack a job's code: {error.strerror}") from error
        except BaseException:
            shutil.rmtree(folder)
            raise
        self.zygote, self.folder = zygote, folder

    def close(self) -> None:
        if self.zygote is not None:
            self.zygote.close()
            shutil.rmtree(self.folder)
            self.zygote = None


class Codes:
    """Codes by key, safe for threads."""

    def __init__(self, unsafe: bool) -> None:
        self._unsafe = unsafe
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Code] = OrderedDict()
        self._closed = False

    @contextmanager
    def zygote(self, key: str, fill: Fill, limits: Limits, hash_seed: int = 0) -> Iterator[tuple[Zygote, Path]]:
        """The zygote of a code, and the folder that `fill` filled. SandboxFailed within throws both away.

        Raises what `fill` raises, SandboxFailed, PreflightError.
        """
        with self._lock:
            if self._closed:
                raise SandboxFailed("the sandbox was closed")
            code = self._known.setdefault(key, _Code())
            self._known.move_to_end(key)
            code.users += 1
        try:
            with code.lock:
                if code.zygote is None:
                    code.open(fill, limits, hash_seed, self._unsafe)
            assert code.zygote is not None
            yield code.zygote, code.folder
        except SandboxFailed:
            self._drop(key, code)
            raise
        finally:
            self._leave(code)

    def close(self) -> None:
        """Throw away what nobody uses; what somebody does goes with its last user."""
        with self._lock:
            self._closed = True
            codes = list(self._known.values())
            self._known.clear()
            unused = [code for code in codes if not code.users]
        for code in unused:
            code.close()

    def _drop(self, key: str, code: _Code) -> None:
        with self._lock:
            if self._known.get(key) is code:
                del self._known[key]

    def _leave(self, code: _Code) -> None:
        with self._lock:
            code.users -= 1
            idle = [key for key, one in self._known.items() if not one.users]
            over = [self._known.pop(key) for key in idle[: max(0, len(self._known) - _KEPT)]]
            if not code.users and code not in self._known.values() and code not in over:
                over.append(code)
        for one in over:
            one.close()
