"""A job's wheels (PEP 427), unpacked by us and for nobody but the sandbox: nothing of them is imported or run here.

Who sends them: any submitter. What the worst would send: a bomb, names that lead out of the folder, links, a million
members, headers that lie about sizes. Sizes are bounded before and while anything is read.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import zipfile
import zlib
from collections.abc import Callable
from email.parser import BytesParser
from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from r1net.errors import UsageError
from r1net.protocol.code import Code

Open = Callable[[str], bytes]
"""The bytes of a file of the job, by its digest."""

MOST_SOURCE_BYTES = 2**20
MOST_WHEEL_BYTES = 2**28
"""Of all wheels of a code together, as they come."""
MOST_BYTES = 2**29
MOST_MEMBERS = 20_000
"""Of all wheels of a code together, unpacked."""

_CHUNK = 2**18
_MOST_NAME, _MOST_PATH = 200, 1000
_DIRECTORY_BYTES = MOST_MEMBERS * 256
_END, _END_SIZE, _LOCATOR, _LOCATOR_SIZE, _COMMENT = b"PK\x05\x06", 22, b"PK\x06\x07", 20, 2**16
_IMPORTABLE = ("purelib", "platlib")


def check_code(code: Code) -> None:
    """Whether a code's files are of a size that is taken, and fit this machine's interpreter. Raises UsageError."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if code.python != here:
        raise UsageError(f"the job's code is for Python {code.python}, and this is {here}")
    if code.source.size > MOST_SOURCE_BYTES:
        raise UsageError(f"a file of code may have {MOST_SOURCE_BYTES} bytes")
    if sum(wheel.size for wheel in code.wheels.values()) > MOST_WHEEL_BYTES:
        raise UsageError(f"its wheels may have {MOST_WHEEL_BYTES} bytes")
    supported = frozenset(sys_tags())
    for name in code.wheels:
        try:
            tags = parse_wheel_filename(name)[3]
        except InvalidWheelFilename as error:
            raise UsageError(f"{name} is no wheel's name") from error
        if supported.isdisjoint(tags):
            raise UsageError(f"the wheel {name} does not fit this machine's interpreter")


def unpack(code: Code, open_: Open, folder: Path) -> None:
    """Write the code's file to `folder`/own.py and what its wheels hold to import to `folder`/site.

    Raises UsageError when the files are at fault, OSError when this machine is.
    """
    check_code(code)
    (folder / "own.py").write_bytes(_bytes(open_, code.source.sha256, code.source.size, "its file"))
    budget = _Budget()
    (folder / "site").mkdir()
    for name, wheel in sorted(code.wheels.items()):
        data = _bytes(open_, wheel.sha256, wheel.size, name)
        try:
            _unpack_wheel(data, folder / "site", budget)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
            raise UsageError(f"the wheel {name} can't be unpacked: {error}"[:500]) from error
        except UsageError as error:
            raise UsageError(f"the wheel {name}: {error.message}") from error
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise UsageError(f"the wheel {name} has a file where there is a folder") from error


def _bytes(open_: Open, digest: str, size: int, what: str) -> bytes:
    data = open_(digest)
    if len(data) != size:
        raise UsageError(f"{what} has {len(data)} bytes, not {size}")
    return data


class _Budget:
    """What may still be unpacked."""

    def __init__(self) -> None:
        self.bytes, self.members = MOST_BYTES, MOST_MEMBERS

    def take(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise UsageError(f"more than {MOST_BYTES} bytes when unpacked")

    def member(self) -> None:
        self.members -= 1
        if self.members < 0:
            raise UsageError(f"more than {MOST_MEMBERS} files")


def _unpack_wheel(data: bytes, folder: Path, budget: _Budget) -> None:
    _check_directory(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > budget.bytes:
            raise UsageError(f"more than {MOST_BYTES} bytes when unpacked")
        _check_version(archive, members)
        seen: set[str] = set()
        for member in members:
            budget.member()
            target = _target(member)
            if target is None:
                continue
            if target in seen:
                raise UsageError(f"{target!r} twice")
            seen.add(target)
            _write(archive, member, folder / target, budget)


def _check_directory(data: bytes) -> None:
    """`zipfile` reads the whole list of members, however long: its length is looked at first, where it looks."""
    end = len(data) - _END_SIZE
    if data[end : end + 4] != _END or data[-2:] != b"\0\0":
        end = data.rfind(_END, max(0, len(data) - _COMMENT - _END_SIZE))
    if end < 0:
        raise UsageError("no zip archive")
    if data[end - _LOCATOR_SIZE : end - _LOCATOR_SIZE + 4] == _LOCATOR:
        raise UsageError("a 64-bit zip archive, which no wheel of this size needs")
    if int.from_bytes(data[end + 12 : end + 16], "little") > _DIRECTORY_BYTES:
        raise UsageError(f"more than {MOST_MEMBERS} files, or long names")


def _check_version(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> None:
    """PEP 427: an installer refuses another major version than the one it knows."""
    found = [one for one in members if one.filename.endswith(".dist-info/WHEEL") and one.filename.count("/") == 1]
    if len(found) != 1:
        raise UsageError("no wheel: it must hold one .dist-info/WHEEL")
    with archive.open(found[0]) as file:
        version = BytesParser().parsebytes(file.read(_CHUNK)).get("Wheel-Version", "")
    if version.partition(".")[0] != "1":
        raise UsageError(f"of version {version[:20]!r}, not 1")


def _target(member: zipfile.ZipInfo) -> str | None:
    """Where a member goes, below the folder; None for what can't be imported: folders, scripts, headers, manuals, and
    byte-code, which is made here."""
    name = member.filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UsageError(f"{name[:100]!r} is no file: links and devices are refused")
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UsageError(f"{name[:100]!r} is encrypted, or compressed by another method than deflate")
    parts = name.removesuffix("/").split("/")
    if not _is_plain(name, parts):
        raise UsageError(f"the name {name[:100]!r} is refused")
    if parts[0].endswith(".data") and len(parts) > 1:
        if parts[1] not in _IMPORTABLE:
            return None
        parts = parts[2:]
    return None if member.is_dir() or not parts or "__pycache__" in parts else "/".join(parts)


def _is_plain(name: str, parts: list[str]) -> bool:
    """Whether a name leads nowhere but down, for every reader of it."""
    if len(name.encode(errors="replace")) > _MOST_PATH or not name.isprintable() or "\\" in name or ":" in name:
        return False
    return all(part not in ("", ".", "..") and len(part.encode(errors="replace")) <= _MOST_NAME for part in parts)


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, budget: _Budget) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "wb") as target, archive.open(member) as source:
        while data := source.read(_CHUNK):
            budget.take(len(data))
            target.write(data)
