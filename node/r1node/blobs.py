"""A folder of files that are named by their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r1net.transport import Transport
from r1net.whole import TEMPORARY, whole
from r1node.locks import taking_turns

_CHUNK = 1 << 20
"""Bytes read at a time."""


class BlobCache:
    """Files under `root`; a name is a promise of the content. Processes may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where a blob lies, or would."""
        return self.root / digest[2:4] / digest[2:]

    def has(self, digest: str) -> bool:
        """Whether it is here."""
        return self.path(digest).is_file()

    def add(self, data: bytes) -> str:
        """Keep bytes; returns their digest."""
        digest = "0x" + hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        if not path.is_file():
            with _alone(path.parent), whole(path, sync=False) as file:
                file.write(data)
        return digest

    def salted(self, digest: str, salt: str) -> str:
        """SHA-256(salt || the blob): what proves that one holds it."""
        hashed = hashlib.sha256(bytes.fromhex(salt.removeprefix("0x")))
        with self.path(digest).open("rb") as file:
            while data := file.read(_CHUNK):
                hashed.update(data)
        return "0x" + hashed.hexdigest()

    def fetch(self, digest: str, source: Transport, size: int | None = None) -> Path:
        """The file of a blob (of `size` bytes, where that is known), downloaded when it isn't here. Of processes that
        want the same at once, one downloads it and the others wait."""
        path = self.path(digest)
        if not path.is_file():
            with _alone(path.parent):
                if not path.is_file():
                    source.fetch_blob(digest, path, size)
        return path

    def newest(self, count: int | None = None) -> list[str]:
        """Digests of the blobs that came or were used last, the newest first."""
        files = sorted(self.root.glob("??/[0-9a-f]*"), key=lambda path: path.stat().st_mtime, reverse=True)
        return [f"0x{path.name}" for path in files[:count]]

    def prune(self, keep: int) -> None:
        """Forget all but the newest blobs."""
        for digest in self.newest()[keep:]:
            self.path(digest).unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other process writes into a folder: what one that was killed has begun is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    with taking_turns(folder / ".lock"):
        for begun in folder.glob(f"{TEMPORARY}*"):
            begun.unlink()
        yield


def version_cache(folder: Path) -> BlobCache:
    """The files of policy versions that a worker made or fetched, across its restarts."""
    return BlobCache(folder / "versions")
