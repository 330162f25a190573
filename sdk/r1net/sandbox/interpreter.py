"""What strangers' own code sees of a machine: the interpreter, its standard library, and the folder of a job."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import landlock

import r1net
from r1net.sandbox.boundary import ENVIRONMENT, Inside

_PACKAGES = ("site-packages", "dist-packages")
_ROOTS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")


def alone(folder: Path, hash_seed: int = 0) -> Inside:
    """The zygote of the code below `folder`: an interpreter with nothing installed."""
    package, helper = Path(r1net.__file__).parent, Path(landlock.__file__).parent
    program = Path(sys.executable).resolve()
    standard = Path(sysconfig.get_path("stdlib"))
    return Inside(
        program=(str(program), "-s", "-S", "-P", "-B", str(package / "sandbox" / "alone.py"), str(helper.parent)),
        variables=ENVIRONMENT | {"PYTHONHASHSEED": str(hash_seed)},
        readable=(str(program), *_standard(standard), *_system(), str(folder)),
        hidden=tuple(str(standard / name) for name in _PACKAGES if (standard / name).is_dir()),
        loaded=(str(standard), str(package / "sandbox"), str(package / "errors.py"), str(helper)),
        listed=(str(standard),),
    )


def _standard(folder: Path) -> list[str]:
    return [str(child) for child in sorted(folder.iterdir()) if child.name not in _PACKAGES]


def _system() -> list[str]:
    """The system's shared libraries, and the interpreter's own where it is one."""
    found = [
        str(child)
        for root in map(Path, _ROOTS)
        if root.is_dir()
        for child in sorted(root.iterdir())
        if child.exists() and (child.name.endswith(("-linux-gnu", "-linux-musl")) or ".so" in child.suffixes)
    ]
    own = sorted(Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib").glob("libpython3*.so*"))
    cache = Path("/etc/ld.so.cache")
    return [*found, *map(str, own), *([str(cache)] if cache.exists() else [])]
