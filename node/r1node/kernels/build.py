"""The C kernels of this folder: compiled on the host, for its processor, the first time they are needed.

The library is kept below the user's cache folder under a name that covers source, flags, compiler and processor, so a
change of any of them compiles anew. It needs a C compiler (`cc`, or what CC names) and nothing else; it is linked
against the OpenMP runtime that PyTorch has loaded, and so shares its threads.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from r1net.errors import PreflightError

SOURCES = Path(__file__).parent
FLAGS = (
    *(
        "-O3",
        "-march=native",
        "-mprefer-vector-width=512",
        "-std=gnu11",
        "-fopenmp",
        "-fno-math-errno",
        "-fno-trapping-math",
    ),
    *("-fPIC", "-shared", "-Wall"),
)
PRECISIONS = {"bf16": ("-DR1_BF16",), "fp32": ()}


@lru_cache
def library(precision: str) -> ctypes.CDLL:
    """The kernels for "bf16" or "fp32". Raises PreflightError when they cannot be compiled."""
    command = [*shlex.split(os.environ.get("CC", "cc")), *FLAGS, *PRECISIONS[precision]]
    path = _cache() / f"r1net-{precision}-{_fingerprint(command)}.so"
    if not path.exists():
        _compile(command, path)
    return ctypes.CDLL(str(path))


def _cache() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    folder = root / "r1net" / "kernels"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise PreflightError(f"{folder} belongs to somebody else", hint="set XDG_CACHE_HOME to a folder of your own")
    return folder


def _fingerprint(command: list[str]) -> str:
    digest = hashlib.sha256("\0".join([*command, _processor()]).encode())
    for source in sorted(SOURCES.glob("*.[ch]")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))


def _compile(command: list[str], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        full = [*command, *map(str, sorted(SOURCES.glob("*.c"))), "-o", str(made), "-lm"]
        try:
            done = subprocess.run(full, capture_output=True, text=True, check=False)  # noqa: S603 - the host's own CC
        except FileNotFoundError as error:
            raise PreflightError(f"no C compiler: {command[0]} was not found", hint="apt install gcc") from error
        if done.returncode != 0:
            raise PreflightError(
                f"{command[0]} could not compile the kernels: {done.stderr.strip()[-500:]}",
                hint="gcc 12 or clang 15 and later are known to do it; set CC",
            )
        made.replace(path)
