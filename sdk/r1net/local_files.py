"""Files on their way into a job, kept on the submitter's machine under the names of their content, so that a job that
was funded can be announced again."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from r1net.errors import UsageError
from r1net.protocol.files import FileRef


def cache_folder() -> Path:
    """R1_CACHE_DIR, or r1net below the user's cache folder (XDG Base Directory Specification)."""
    named = os.environ.get("R1_CACHE_DIR")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "r1net"


def path_of(given: Path | str) -> Path:
    """A path that somebody wrote, with ~ for a home folder. Raises UsageError for what can be none."""
    try:
        path = Path(given).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{str(given)[:200]!r} can be no path: {error}"[:400]) from error
    return path


class LocalFiles:
    """Content-addressed files below `root`."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_folder() / "files"

    def path(self, digest: str) -> Path:
        """Where a file is, if it is here."""
        return self.root / digest.removeprefix("0x")

    def has(self, digest: str) -> bool:
        """Whether a file is here."""
        return self.path(digest).is_file()

    def require(self, digest: str) -> Path:
        """Where a file is, its content checked. Raises UsageError when it isn't here."""
        path = self.path(digest)
        if not path.is_file():
            hint = f"announce the job where it was made, or bring its files to {self.root}"
            raise UsageError(f"the job's file {digest} is not on this machine", hint=hint)
        with path.open("rb") as file:
            if "0x" + hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise UsageError(f"{path} was changed", hint="remove it, and make the job again")
        return path

    def add(self, data: bytes) -> FileRef:
        """Keep bytes. Raises UsageError when there are none."""
        if not data:
            raise UsageError("a file of the job is empty")
        with self.writing() as file:
            file.write(data)
        return self.keep(Path(file.name))

    @contextmanager
    def writing(self) -> Iterator[IO[bytes]]:
        """A new file to write, which `keep` takes."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=self.root, prefix=".new-", delete=False) as file:
            try:
                yield file
                file.flush()
            except BaseException:
                Path(file.name).unlink()
                raise

    def keep(self, path: Path) -> FileRef:
        """Take a finished file in, under its content's name. It is moved."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        path.replace(self.root / digest)
        return FileRef(sha256="0x" + digest, size=size)
