"""What jobs are made of (models, rows, code), once for all workers of a host, and no more of it than the host allows.

What a living process holds stays; of the rest, what was used longest ago goes first, when a job needs its room.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from r1net.errors import R1Error, UsageError
from r1net.protocol.job import JobSpec, ModelRef
from r1net.protocol.model_files import JSON_FILES, check_config
from r1net.transport import Transport
from r1net.weights.checkpoint import read_checkpoint
from r1node.blobs import BlobCache
from r1node.locks import taking_turns

GIB = 2**30
SPARE = GIB
"""Bytes that stay free on the disk: policy versions and logs need room too."""


class NoRoom(R1Error):
    """A job whose files don't fit on this host."""

    code = "no_room"


class Store:
    """Files of jobs below `root`, `limit` bytes of them at most. One for each process; processes may share the root.

    What a process holds is a list in a file that it has locked: the lock ends with the process, whatever ends it.
    """

    def __init__(self, root: Path, limit: int | None = None) -> None:
        self.root, self.limit = root, limit
        self.blobs = BlobCache(root / "blobs")
        (root / "held").mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._list = root / "held" / f"{os.getpid()}-{secrets.token_hex(4)}"
            handle = os.open(self._list, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX)
            weakref.finalize(self, os.close, handle)
            self._hold(set())

    def claim(self, spec: JobSpec) -> None:
        """Hold a job's files from now on, and make room for those that aren't here. Raises NoRoom."""
        files = spec.files
        with self._alone():
            self._hold(self._held | set(files))
            missing = sum(size for digest, size in files.items() if not self.blobs.has(digest))
            try:
                self._make_room(missing)
            except NoRoom:
                self._hold(self._held - set(files))
                raise
        for digest in files:
            if self.blobs.has(digest):
                os.utime(self.blobs.path(digest))

    def release(self) -> None:
        """Hold nothing any more."""
        with self._alone():
            self._hold(set())

    def model(self, model: ModelRef, source: Transport) -> Path:
        """A model in Hugging Face layout; its files are links to blobs. To be claimed before.

        Raises UsageError when a file is more than a library should be trusted to read, or the weights aren't whole.
        """
        target = self.root / "models" / model.digest()[2:18]
        target.mkdir(parents=True, exist_ok=True)
        for name, file in model.files.items():
            blob = self.blobs.fetch(file.sha256, source, file.size)
            if name in JSON_FILES:
                check_config(blob.read_bytes(), name)
            _link(target / name, blob)
        try:
            read_checkpoint(target, model.weights)
        except UsageError as error:
            raise UsageError(f"the job's model can't be loaded: {error.message}", hint=error.hint) from error
        return target

    def files(self, spec: JobSpec, source: Transport) -> Callable[[str], Path]:
        """What brings a job's files by their digests: each is downloaded when it is first needed."""
        sizes = spec.files
        return lambda digest: self.blobs.fetch(digest, source, sizes[digest])

    def _hold(self, digests: set[str]) -> None:
        self._held = digests
        self._list.write_text(json.dumps(sorted(digests)))

    def _alone(self) -> AbstractContextManager[None]:
        """While no other process claims or clears away."""
        return taking_turns(self.root / "lock")

    def _make_room(self, size: int) -> None:
        """Clear away until so many more bytes fit."""
        sizes = {digest: self.blobs.path(digest).stat().st_size for digest in self.blobs.newest()}
        used = sum(sizes.values())
        held = self._held_by_all()
        for digest in reversed([digest for digest in sizes if digest not in held]):
            if self._fits(used, size):
                break
            self.blobs.path(digest).unlink(missing_ok=True)
            used -= sizes[digest]
        self._tidy()
        if not self._fits(used, size):
            raise NoRoom(
                f"the job's files take {size / GIB:.2f} GiB more than there are, beside {used / GIB:.2f} GiB in use",
                hint="raise store_limit, or free disk space",
            )

    def _fits(self, used: int, size: int) -> bool:
        if size == 0:
            return True
        return (self.limit is None or used + size <= self.limit) and size + SPARE <= shutil.disk_usage(self.root).free

    def _held_by_all(self) -> set[str]:
        held = set(self._held)
        for path in (self.root / "held").iterdir():
            if path == self._list:
                continue
            with path.open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held.update(self._read(file))
                else:
                    path.unlink()  # its process has ended
        return held

    def _read(self, file: IO[str]) -> list[str]:
        """What another process holds; all that there is, where a full disk has cut its list."""
        try:
            return list(json.load(file))
        except ValueError:
            return self.blobs.newest()

    def _tidy(self) -> None:
        """Remove the folders of models whose files are gone."""
        for folder in (self.root / "models").glob("*"):
            if not all(link.exists() for link in folder.iterdir()):
                shutil.rmtree(folder, ignore_errors=True)


def _link(link: Path, blob: Path) -> None:
    """A link to a blob, made in one step: another worker may be making the same."""
    if link.exists():
        return
    fresh = link.with_name(f".{link.name}-{secrets.token_hex(4)}")
    fresh.symlink_to(blob.resolve())
    os.replace(fresh, link)
