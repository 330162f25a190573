"""`python -s -S -P -B alone.py FOLDER`: the zygote of strangers' own code, in an interpreter with nothing installed.

Its children have the standard library and what a job brings, nothing of the host's packages and nothing of this one:
the few modules of this package that confine them are loaded here, below stubs of their parents, and forgotten before
the first fork. FOLDER holds the `landlock` package, which is loaded likewise.
"""

import sys
from pathlib import Path
from types import ModuleType


def _main() -> None:
    here = Path(__file__).parent
    for name, folder in (("r1net", here.parent), ("r1net.sandbox", here)):
        stub = ModuleType(name)
        stub.__path__ = [str(folder)]
        sys.modules[name] = stub
    sys.path.append(sys.argv[1])
    from r1net.sandbox.stranger import main  # noqa: PLC0415 - found below the stubs

    sys.path.pop()
    main()


if __name__ == "__main__":
    _main()
