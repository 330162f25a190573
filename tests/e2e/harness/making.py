"""Things that take long to make are made once for a checkout, by whichever test process comes first."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """The model in `folder`, which `make` writes where there is none: whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.parent / f".{folder.name}.lock"):
        if not (folder / "model.safetensors").exists():
            scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
            make(scratch)
            shutil.rmtree(folder, ignore_errors=True)
            scratch.rename(folder)
    return folder


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time, for who names the same file."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
