"""Where a sandboxed process lives: what it sees of the machine, in two independent layers.

bubblewrap (bwrap(1)) gives it namespaces of its own: no other process, no network, a read-only root that holds nothing
but the interpreter, its libraries and this package. Landlock (landlock(7)) lets it read the same and nothing else; it
needs no program and no namespaces, so it also works in containers. Either is enough, both are taken where they are.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import r1net

NOBODY = "65534"
SCRATCH = "/tmp"  # noqa: S108 - a folder of its own, in memory
_SCRATCH_BYTES = str(2**20)
"""Libraries want a cache folder while they load. Nothing that is forked later may write there."""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAYON_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONWARNINGS": "ignore",
    "LC_ALL": "C.UTF-8",
    "HOME": SCRATCH,
}
"""All that a sandboxed process is told. One hash seed everywhere: no grader may score by the order of a set."""

_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache")


@dataclass(frozen=True)
class Inside:
    """A zygote's program with its environment variables, and what it and its children may read.

    `readable`: files, and folders with all below them. `hidden`: folders below those that are emptied where bubblewrap
    holds. `loaded`: what only the program itself reads, before it forks. `listed`: folders of which Landlock shows the
    names, and no more.
    """

    program: tuple[str, ...]
    variables: dict[str, str]
    readable: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()


def grader() -> Inside:
    """The graders' program: this package and its libraries."""
    return Inside(
        program=(sys.executable, "-s", "-m", "r1net.sandbox.zygote"),
        variables=ENVIRONMENT | {"PYTHONPATH": str(Path(r1net.__file__).parent.parent)},
        readable=tuple(_libraries()),
    )


def _libraries() -> list[str]:
    """The folders and files of programs and libraries, never a host's own."""
    package = Path(r1net.__file__).parent
    folders = {
        *(sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix),
        *(sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), sysconfig.get_path("stdlib")),
        str(package),
    }
    known = [Path(name) for name in (*_SYSTEM, *sorted(folders)) if Path(name).exists()]
    return [str(path) for path in known if not any(other != path and path.is_relative_to(other) for other in known)]


def bubblewrapped(inside: Inside) -> list[str] | None:
    """Its program behind bubblewrap; None where that isn't installed."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    apart = [path for path in inside.readable if not any(Path(path).is_relative_to(folder) for folder in inside.loaded)]
    binds = [word for path in (*inside.loaded, *apart) for word in ("--ro-bind", path, path)]
    hides = [word for path in inside.hidden for word in ("--tmpfs", path, "--remount-ro", path)]
    sets = [word for name, value in inside.variables.items() for word in ("--setenv", name, value)]
    return [
        *(program, "--unshare-all", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "sandbox", "--cap-drop", "ALL"),
        *("--clearenv", *sets, "--size", _SCRATCH_BYTES, "--tmpfs", SCRATCH, *binds, *hides),
        *("--remount-ro", "/", "--chdir", "/", "--", *inside.program),
    ]
