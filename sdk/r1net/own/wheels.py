"""The wheels that a reward's requirements come to, by pip: nothing is built, and nothing of them runs here."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from r1net.errors import UsageError
from r1net.local_files import LocalFiles
from r1net.protocol.files import FileRef

_SECONDS = 900

_RESOLVED: dict[tuple[tuple[str, ...], bool], dict[str, FileRef]] = {}
"""What was asked for in this process: a tool and a reward in one file have the same wheels."""


def resolve(dependencies: Sequence[str], files: LocalFiles, closed: bool = False) -> dict[str, FileRef]:
    """Download and keep the wheels of packages and, unless the list is `closed`, of all that they need, for this
    interpreter: file name -> content.

    Raises UsageError when one can't be had as a wheel.
    """
    if not dependencies:
        return {}
    asked = (tuple(dependencies), closed)
    known = _RESOLVED.get(asked)
    if known is None or not all(files.has(wheel.sha256) for wheel in known.values()):
        known = _RESOLVED[asked] = _resolve(dependencies, files, closed)
    return known


def _resolve(dependencies: Sequence[str], files: LocalFiles, closed: bool) -> dict[str, FileRef]:
    with tempfile.TemporaryDirectory(prefix="r1-wheels-") as folder:
        _download(dependencies, folder, closed)
        return {path.name: files.add(path.read_bytes()) for path in sorted(Path(folder).glob("*.whl"))}


def _download(dependencies: Sequence[str], folder: str, closed: bool) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    alone = ["--no-deps"] if closed else []
    command = [*pip, "--only-binary=:all:", *alone, "--dest", folder, "--", *dependencies]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"pip took more than {_SECONDS} s for {', '.join(dependencies)}") from error
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1] if said else "no reason")
        raise UsageError(
            f"the dependencies can't be had as wheels: {reason}",
            hint="pin what has wheels for this Python and Linux; pip itself must be installed",
        )
