"""The content-addressed store: files named by their SHA-256, written aside and renamed once they are whole."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from anyio import to_thread

from r1net.errors import R1Error
from r1net.protocol.canonical import sha256

_WRITE_CHUNK = 1 << 20


class BlobRefused(R1Error):
    """A blob whose bytes are not what its name says, or too many."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Incoming:
    """A file being received."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit, self.size = path, limit, 0
        self._hash = hashlib.sha256()
        self._file = path.open("xb")

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._limit:
            raise BlobRefused("blob_too_large", f"more than the {self._limit} bytes that were expected")
        self._hash.update(data)
        self._file.write(data)

    def finish(self, expected: str, target: Path) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        found = "0x" + self._hash.hexdigest()
        if found != expected:
            raise BlobRefused("wrong_hash", f"the bytes hash to {found}")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._path, target)

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


class BlobStore:
    """Blobs below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def discard_unfinished(self) -> None:
        """Remove what a killed process was receiving. Only for the start, before anything is received."""
        for path in self._incoming.iterdir():
            path.unlink()

    def path(self, digest: str) -> Path:
        """Where the blob is, if it is."""
        name = digest.removeprefix("0x")
        return self._root / name[:2] / name[2:4] / name

    def has(self, digest: str) -> bool:
        """Whether the blob is here."""
        return self.path(digest).is_file()

    def get(self, digest: str) -> bytes:
        """The whole blob. For small ones."""
        return self.path(digest).read_bytes()

    def salted(self, digest: str, salt: str) -> str:
        """SHA-256(salt || the blob), which only who holds the blob can say. Reads all of it."""
        hashed = hashlib.sha256(bytes.fromhex(salt.removeprefix("0x")))
        with self.path(digest).open("rb") as file:
            while data := file.read(_WRITE_CHUNK):
                hashed.update(data)
        return "0x" + hashed.hexdigest()

    def put(self, data: bytes) -> str:
        """Store bytes; returns their hash."""
        digest = sha256(data)
        if not self.has(digest):
            incoming = self._open(len(data))
            try:
                incoming.write(data)
                incoming.finish(digest, self.path(digest))
            finally:
                incoming.discard()
        return digest

    async def receive(self, digest: str, chunks: AsyncIterator[bytes], limit: int) -> None:
        """Stream a blob in. Raises BlobRefused when it is too large or hashes to something else."""
        incoming = await to_thread.run_sync(self._open, limit)
        try:
            buffer = bytearray()
            async for chunk in chunks:
                buffer += chunk
                if len(buffer) >= _WRITE_CHUNK:
                    await to_thread.run_sync(incoming.write, bytes(buffer))
                    buffer.clear()
            await to_thread.run_sync(incoming.write, bytes(buffer))
            await to_thread.run_sync(incoming.finish, digest, self.path(digest))
        finally:
            incoming.discard()

    def remove(self, digest: str) -> None:
        """Forget a blob; nothing happens when it isn't here."""
        self.path(digest).unlink(missing_ok=True)

    def _open(self, limit: int) -> _Incoming:
        return _Incoming(self._incoming / secrets.token_hex(8), limit)
