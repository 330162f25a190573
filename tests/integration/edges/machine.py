"""Real trouble for real processes: a full disk, a disk that can only be read, files one has no right to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NO_OVERRIDE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Root without its power over other people's files."""
BARE = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
HIDING = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    words: str

    @property
    def told(self) -> dict[str, Any]:
        """The error as a program reads it: one line of JSON, and no word beside it."""
        (line,) = self.words.splitlines()
        return dict(json.loads(line))


def python(program: str, *arguments: str | Path, before: str = "") -> list[str]:
    """The command that runs a program of ours, with `before` run before it is imported."""
    code = f"import sys; sys.argv = ['program', *sys.argv[1:]]\n{before}\nfrom {program} import main\nmain()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def run(command: list[str], home: Path, **environment: str) -> Ended:
    """Run a command with nothing of this process's settings."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home), **BARE, **environment}
    done = subprocess.run(
        command, env=env, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def powerless(command: list[str]) -> list[str]:
    """The same as a user whom rights bind. Skips the test where that takes what isn't here."""
    if os.geteuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        pytest.skip("root is not bound by rights, and setpriv is missing")
    return [*NO_OVERRIDE, *command]


def mounted(folder: Path, how: str, command: list[str]) -> list[str]:
    """The same where `folder` is mounted as `how` says, in a mount namespace of its own."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount anything (unshare -rm)")
    return ["unshare", "-rm", "sh", "-ec", f'{how}; shift; exec "$@"', "sh", str(folder), *command]


FULL = 'mount -t tmpfs -o size=256k tmpfs "$1"; cat /dev/zero > "$1/filling" 2>/dev/null || true'
READ_ONLY = 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"'
