"""Files that are written whole or not at all: whatever ends the writing, what was there before is there still."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

TEMPORARY = ".part-"
"""What the names begin with of files that aren't whole yet."""


@contextmanager
def whole(target: Path, mode: int = 0o600, *, sync: bool = True, replace: bool = True) -> Iterator[IO[bytes]]:
    """A file to write that takes its place when the block ends, and leaves nothing behind when it breaks off. It is on
    the disk by then if `sync`; what can be had again needs none. OSErrors name the target, also those of a full disk;
    FileExistsError where it is there already and isn't to be replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = None
    try:
        handle, part = tempfile.mkstemp(dir=target.parent, prefix=TEMPORARY)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            yield file
            file.flush()
            if sync:
                os.fsync(handle)
        (os.replace if replace else os.link)(part, target)
    except OSError as error:
        if error.errno is None or error.filename not in (None, part):
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        if part is not None:
            Path(part).unlink(missing_ok=True)


def write_whole(target: Path, data: bytes | str, mode: int = 0o600, *, replace: bool = True) -> None:
    """Write all of a file at once. Its folder is made where it is missing."""
    with whole(target, mode, replace=replace) as file:
        file.write(data.encode() if isinstance(data, str) else data)
