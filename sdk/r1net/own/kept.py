"""The files of own rewards on the submitter's machine, by their digest: a job may be announced again weeks later."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from r1net.errors import UsageError
from r1net.protocol.canonical import sha256
from r1net.protocol.job import FileRef


def _folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "r1net" / "rewards"


def keep(data: bytes) -> FileRef:
    """Keep a file. Raises UsageError when it is empty."""
    if not data:
        raise UsageError("a file of a reward is empty")
    ref = FileRef(sha256=sha256(data), size=len(data))
    path = _folder() / ref.sha256[2:]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".kept-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    return ref


def kept_path(digest: str) -> Path:
    """Where a file lies. Raises UsageError when it isn't here."""
    path = _folder() / digest[2:]
    if not path.is_file():
        raise UsageError(
            f"the reward's file {digest} is not on this machine",
            hint=f"announce the job where it was made, or bring its files to {path.parent}",
        )
    return path


def read_kept(digest: str) -> bytes:
    """A file's bytes, checked against their digest. Raises UsageError."""
    path = kept_path(digest)
    data = path.read_bytes()
    if sha256(data) != digest:
        raise UsageError(f"{path} was changed", hint="remove it, and make the job again")
    return data
