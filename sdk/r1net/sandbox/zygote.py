"""`python -m r1net.sandbox.zygote`: loads the libraries once, then forks a grader for each job (see `forking`)."""

from __future__ import annotations

import socket

from r1net.sandbox import guard
from r1net.sandbox.forking import run
from r1net.sandbox.grader import serve
from r1net.sandbox.limits import Limits


def main() -> None:
    """Serve until the parent is gone."""
    run(_serve, _load)


def _serve(channel: socket.socket, limits: Limits) -> None:
    serve(channel, limits)


def _load() -> None:
    """Everything that takes long, so that a fork has it; then the guard."""
    import py3langid.langid  # noqa: F401, PLC0415
    import reasoning_gym  # noqa: F401, PLC0415
    import sympy  # noqa: F401, PLC0415
    import tokenizers  # noqa: F401, PLC0415

    import r1net.scoring  # noqa: F401, PLC0415
    from r1net.rewards import mathematics  # noqa: PLC0415

    mathematics.warm()

    guard.install()


if __name__ == "__main__":
    main()
