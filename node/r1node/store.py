"""The node's content-addressed files: model files and policy versions, named by their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from r1net.errors import UsageError
from r1net.protocol.job import JobSpec, ModelRef
from r1net.protocol.model_files import JSON_FILES, check_config
from r1net.transport import Transport
from r1net.weights.checkpoint import read_checkpoint
from r1net.whole import whole

_CHUNK = 1 << 20
"""Bytes read at a time."""


class BlobCache:
    """Files under `root`, shared by every worker of a host; a name is a promise of the content."""

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
            with whole(path, sync=False) as file:
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
        """The file of a blob (of `size` bytes, where that is known), downloaded when it isn't here."""
        path = self.path(digest)
        if not path.is_file():
            source.fetch_blob(digest, path, size)
        return path

    def newest(self, count: int) -> list[str]:
        """Digests of the blobs that came last, the newest first."""
        files = sorted(self.root.glob("??/[0-9a-f]*"), key=lambda path: path.stat().st_mtime, reverse=True)
        return [f"0x{path.name}" for path in files[:count]]

    def prune(self, keep: int) -> None:
        """Forget all but the newest blobs."""
        for digest in self.newest(1_000_000)[keep:]:
            self.path(digest).unlink(missing_ok=True)


def assemble_model(model: ModelRef, source: Transport, folder: Path) -> Path:
    """A model in Hugging Face layout below `folder`; its files are links into the blob cache there.

    Raises UsageError when a file is more than a library should be trusted to read, or the weights aren't whole.
    """
    cache = BlobCache(folder / "blobs")
    target = folder / "models" / model.digest()[2:18]
    target.mkdir(parents=True, exist_ok=True)
    for name, file in model.files.items():
        blob = cache.fetch(file.sha256, source, file.size)
        if name in JSON_FILES:
            check_config(blob.read_bytes(), name)
        link = target / name
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(blob.resolve())
    try:
        read_checkpoint(target, model.weights)
    except UsageError as error:
        raise UsageError(f"the job's model can't be loaded: {error.message}", hint=error.hint) from error
    return target


def job_files(spec: JobSpec, source: Transport, folder: Path) -> Callable[[str], Path]:
    """What brings a job's files by their digests: each is downloaded when it is first needed."""
    cache, sizes = BlobCache(folder / "blobs"), spec.files
    return lambda digest: cache.fetch(digest, source, sizes[digest])


def version_cache(folder: Path) -> BlobCache:
    """The files of policy versions that a worker made or fetched, across its restarts."""
    return BlobCache(folder / "versions")
