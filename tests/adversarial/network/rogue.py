"""A host that cheats: the real `r1node join` with one named thing replaced.

    python -m tests.adversarial.network.rogue CHEAT join --coordinator URL …     as `r1node join`

It asks only for the kind of work that it cheats at, and prints a line for each lie that it tells.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from r1net.protocol.work import Capability, WorkAnswer, WorkRequest
from r1node.cli.main import main
from r1node.session import Session
from tests.adversarial.network.samplers import SAMPLERS
from tests.adversarial.network.trainers import TRAINERS
from tests.adversarial.network.verifiers import VERIFIERS

KINDS: dict[tuple[Capability, ...], dict[str, Callable[[], None]]] = {
    ("rollout",): SAMPLERS,
    ("rollout", "train"): TRAINERS,
    ("verify",): VERIFIERS,
}
"""What a cheat of each name replaces. Trainers sample, honestly: each trains first of all on what it has sampled."""


def take_only(kinds: tuple[Capability, ...]) -> None:
    """Ask for no other work."""
    honest = Session.work

    def work(self: Session, request: WorkRequest) -> WorkAnswer:
        wanted = tuple(kind for kind in request.capabilities if kind in kinds)
        if not wanted:
            return WorkAnswer(reason="not its kind of work")
        return honest(self, request.model_copy(update={"capabilities": wanted}))

    Session.work = work  # type: ignore[method-assign]


def turn(name: str) -> None:
    """Make of this process the rogue of that name. Raises KeyError for one that isn't known."""
    for kinds, cheats in KINDS.items():
        if name in cheats:
            take_only(kinds)
            cheats[name]()
            return
    raise KeyError(name)


if __name__ == "__main__":
    turn(sys.argv.pop(1))
    main()
