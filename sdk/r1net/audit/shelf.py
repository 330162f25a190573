"""A folder of what audits read, so that it can be had when the coordinator doesn't show it any more.

    v1/blobs/0x…                        lines and specifications (named by their digests on chain), bundles, statements
    v1/jobs/0x…/traces/0x…/submission   signatures
    lines/EPOCH/LINE.json               which of these one line takes: the folder's own, no proof of anything

The first two are paths of the coordinator's API, so that any web server that serves the folder is a mirror. Every file
is written under another name first: a process that is killed leaves nothing half. What is read is checked again.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from r1net.bounded import MOST_BYTES
from r1net.errors import ProtocolError, R1Error, Refused
from r1net.protocol.canonical import Hash, Message, sha256

M = TypeVar("M", bound=Message)

_HASH = "0x[0-9a-f]{64}"
_PATH = re.compile(rf"/v1/(blobs/{_HASH}|jobs/{_HASH}/traces/{_HASH}/submission)")
_SPARE = 2**30
"""Bytes of the disk that no file takes."""
_PARTS = "parts"


def blob_path(digest: str) -> str:
    """Where the API has a blob."""
    return f"/v1/blobs/{digest}"


def submission_path(job_id: str, leaf: str) -> str:
    """Where the API has what a worker signed for with a trace, or with a statement."""
    return f"/v1/jobs/{job_id}/traces/{leaf}/submission"


class KeptLine(Message):
    """What a shelf has of a line: the API's paths of all that its audit read. `whole`: nothing was missing."""

    job_id: Hash
    whole: bool
    paths: tuple[str, ...]


class Shelf:
    """A folder as a source (see `Source`). `trouble` says in words why something could not be kept, if so: that never
    changes what an audit finds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trouble: str | None = None

    def get(self, path: str, kind: type[M]) -> M:
        """A message, as it lies there. Raises Refused when there is none."""
        return kind.parse(self._read(path, MOST_BYTES))

    def get_blob(self, digest: str, most: int | None = None) -> bytes:
        """A blob, checked against its name."""
        data = self._read(blob_path(digest), MOST_BYTES if most is None else most)
        if sha256(data) != digest:
            raise ProtocolError(f"blob {digest} is damaged in {self.root}")
        return data

    def keep(self, path: str, data: bytes) -> bool:
        """Put data where the API has it; whether that went well. Only what was checked belongs here."""
        return self._write(self._file(path), data)

    def close(self, epoch: int, line: int, kept: KeptLine) -> bool:
        """Note what a line takes, once everything else is there."""
        return self._write(self._index(epoch, line), kept.canonical())

    def line(self, epoch: int, line: int) -> KeptLine | None:
        """What there is of a line; None if it wasn't looked at to the end."""
        try:
            return KeptLine.parse(self._index(epoch, line).read_bytes())
        except (OSError, ProtocolError):
            return None

    def size(self, kept: KeptLine) -> int:
        """Bytes of a line's files."""
        return sum(self._file(path).stat().st_size for path in kept.paths if self._file(path).is_file())

    def forget(self, epoch: int) -> int:
        """Delete what only this epoch takes; returns how many files went. For when every other epoch's lines are
        noted: what isn't noted protects nothing."""
        folder = self.root / "lines" / str(epoch)
        if not folder.is_dir():
            return 0
        needed = {path for number, path in self._paths() if number != epoch}
        gone = sorted({path for number, path in self._paths() if number == epoch} - needed)
        for path in gone:
            self._file(path).unlink(missing_ok=True)
        shutil.rmtree(folder)
        return len(gone)

    def tidy(self) -> None:
        """Delete what a killed process left half."""
        shutil.rmtree(self.root / _PARTS, ignore_errors=True)

    def _paths(self) -> Iterator[tuple[int, str]]:
        for file in self.root.glob("lines/*/*.json"):
            kept = self.line(int(file.parent.name), int(file.stem))
            for path in kept.paths if kept is not None else ():
                yield int(file.parent.name), path

    def _index(self, epoch: int, line: int) -> Path:
        return self.root / "lines" / str(int(epoch)) / f"{int(line)}.json"

    def _file(self, path: str) -> Path:
        if not _PATH.fullmatch(path):
            raise ProtocolError(f"{path[:200]!r} is no path of an archive")
        return self.root / path.removeprefix("/")

    def _read(self, path: str, most: int) -> bytes:
        file = self._file(path)
        try:
            if not file.is_file():
                raise Refused("not_kept", f"{self.root} doesn't have {path}", status=404)
            with file.open("rb") as opened:
                data = opened.read(most + 1)
        except OSError as error:
            raise Refused("not_readable", f"{file}: {error.strerror}", status=404) from error
        if len(data) > most:
            raise ProtocolError(f"{file} has more than {most} bytes")
        return data

    def _write(self, file: Path, data: bytes) -> bool:
        parts = self.root / _PARTS
        try:
            parts.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(parts).free < len(data) + _SPARE:
                self.trouble = f"the disk of {self.root} is full"
                return False
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=parts, delete=False) as part:
                part.write(data)
            os.chmod(part.name, 0o644)
            os.replace(part.name, file)
        except OSError as error:
            self.trouble = f"{file} can't be written: {error.strerror}"
            return False
        return True


def open_shelf(root: Path) -> Shelf:
    """A folder to keep things in; made if need be. Raises R1Error where that is impossible."""
    shelf = Shelf(root.expanduser())
    try:
        shelf.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise R1Error(f"{root} can't be made: {error.strerror}", hint="name another folder") from error
    return shelf
