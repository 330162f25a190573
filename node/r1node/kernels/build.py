"""The C kernels of this folder: compiled on the host, for its processor, the first time they are needed. They need no
instruction set: vectors are the compiler's, and as wide as it finds the processor's. Where PyTorch is told to keep to a
lesser instruction set (ATEN_CPU_CAPABILITY), so are they.

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
from r1net.system import in_words
from r1node.kernels.instructions import lesser_instructions, processor

SOURCES = Path(__file__).parent
FLAGS = ("-O3", "-std=gnu11", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared", "-Wall")
PATIENCE = 240
"""Seconds. gcc takes ten; clang 14 does not come to an end for processors without AVX."""
LESSER = {"default": "x86-64-v2", "avx2": "x86-64-v3"}
"""-march for what ATEN_CPU_CAPABILITY allows."""
PRECISIONS = {"bf16": ("-DR1_BF16",), "fp32": ()}


@lru_cache
def library(precision: str) -> ctypes.CDLL:
    """The kernels for "bf16" or "fp32". Raises PreflightError when they cannot be compiled."""
    command = [*shlex.split(os.environ.get("CC", "cc")), *FLAGS, *_processor_flags(), *PRECISIONS[precision]]
    try:
        path = _cache() / f"r1net-{precision}-{_fingerprint(command)}.so"
        if not path.exists():
            _compile(command, path)
    except OSError as error:  # a full disk, a home folder that can't be written to
        raise PreflightError(
            f"the kernels can't be kept: {in_words(error).message}", hint="set XDG_CACHE_HOME to a folder of your own"
        ) from error
    return ctypes.CDLL(str(path))


def _cache() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    folder = root / "r1net" / "kernels"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise PreflightError(f"{folder} belongs to somebody else", hint="set XDG_CACHE_HOME to a folder of your own")
    return folder


def _processor_flags() -> list[str]:
    told = lesser_instructions()
    if platform.machine() not in ("x86_64", "AMD64"):
        return ["-mcpu=native"]
    return [f"-march={LESSER[told]}"] if told else ["-march=native", "-mprefer-vector-width=512"]


def _fingerprint(command: list[str]) -> str:
    digest = hashlib.sha256("\0".join([*command, processor()]).encode())
    for source in sorted(SOURCES.glob("*.[ch]")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _compile(command: list[str], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        full = [*command, *map(str, sorted(SOURCES.glob("*.c"))), "-o", str(made), "-lm"]
        try:
            done = subprocess.run(  # noqa: S603 - the host's own CC
                full, capture_output=True, text=True, check=False, timeout=PATIENCE
            )
        except FileNotFoundError as error:
            raise PreflightError(f"no C compiler: {command[0]} was not found", hint="apt install gcc") from error
        except subprocess.TimeoutExpired as error:
            raise PreflightError(
                f"{command[0]} took more than {PATIENCE} s over the kernels", hint="set CC to another compiler"
            ) from error
        if done.returncode != 0:
            raise PreflightError(
                f"{command[0]} could not compile the kernels: {done.stderr.strip()[-500:]}",
                hint="gcc 12 or clang 15 and later are known to do it; set CC",
            )
        made.replace(path)
