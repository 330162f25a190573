"""One real network, three honest nodes of different owners, and the cheats that join it, a few at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Self

from r1net import R1, Evaluation, Prices, Run, Sampling, Verification
from r1net.runs import RunFailed
from tests.adversarial.network.catalogue import Cheat
from tests.adversarial.network.crews import Crews, Node, stop
from tests.adversarial.network.outcomes import Outcome, Reading
from tests.e2e.demo.profiles import TINY
from tests.e2e.harness.chain import ROOT, compile_contracts
from tests.e2e.harness.network import Network

HONEST = 3
AT_ONCE = 6
"""Cheats that share a job."""

BUDGET = 10 * R1
PRICE = R1 // 10_000
"""For a token of any work. It leaves room in the budget: what is found bad was verified twice, and is done again."""

SETTLED = 180.0
"""Seconds that settlement may take on a busy machine."""

SETTINGS = {
    "lease_seconds": "30",
    "heartbeat_seconds": "3",
    "lost_after_seconds": "20",
    "settlement_poll_seconds": "1",
    "deadline_factor": "3",
    "min_deadline_seconds": "30",
    "default_rate": "200",
}
"""Coordinator settings under which what a cheat keeps back is missed within half a minute."""


class Gallery:
    """`say` is told what goes on. As a context manager it has its honest nodes, and ends all nodes."""

    def __init__(self, network: Network, say: Callable[[str], None]) -> None:
        """Chain, coordinator, a submitter. The network is its caller's to stop."""
        self._network, self._say = network, say
        self._model = TINY.model(ROOT / "build" / "models" / "tiny")
        say("compiling the contracts, starting the chain, the coordinator and three honest nodes")
        compile_contracts()
        network.start_chain()
        network.start_coordinator()
        self._client = network.client(1000 * BUDGET)
        self._crews = Crews(network)

    def __enter__(self) -> Self:
        with ExitStack() as nodes:
            nodes.callback(self._crews.close)
            self._hosts = self._welcome(range(HONEST))
            nodes.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._crews.close()

    def show(self, cheats: Sequence[Cheat]) -> Iterator[Outcome]:
        """Cheat by cheat what came of it, as it comes."""
        for batch in batches(cheats):
            yield from self._batch(batch)

    def _batch(self, cheats: Sequence[Cheat]) -> list[Outcome]:
        started = time.monotonic()
        self._say(", ".join(cheat.name for cheat in cheats))
        away = max(cheat.away for cheat in cheats)
        stop(self._hosts[HONEST - away :])
        crews = {cheat.name: self._crews.of(cheat) for cheat in cheats}
        everybody = [node for crew in crews.values() for node in crew]
        for node in everybody:
            node.wait()
        reading = Reading(self._client, self._crews, {node.owner.address for node in self._hosts})
        run = self._submit(cheats)
        self._finish(run)
        if any(cheat.kind == "verification" for cheat in cheats):
            self._say("  a host's owner disputes what doesn't hold")
            self._say(self._crews.look_around("host0", self._hosts[0].owner))
        seconds = (time.monotonic() - started) / len(cheats)
        outcomes = [reading.outcome(cheat, run, crews[cheat.name], seconds) for cheat in cheats]
        stop(everybody)
        self._hosts[HONEST - away :] = self._welcome(range(away))
        return outcomes

    def _welcome(self, numbers: Sequence[int]) -> list[Node]:
        """Honest hosts, new ones."""
        known = self._network.folder.glob("host*")
        first = len(list(known))
        hosts = [self._crews.honest(f"host{first + number}") for number in numbers]
        for host in hosts:
            host.wait()
        return hosts

    def _submit(self, cheats: Sequence[Cheat]) -> Run:
        changes = {
            "name": cheats[0].name if len(cheats) == 1 else f"{cheats[0].name} and {len(cheats) - 1} more",
            "rounds": max(cheat.rounds for cheat in cheats),
            "groups_per_round": max(cheat.groups for cheat in cheats),
            "evaluation": Evaluation(problems=4, sampling=Sampling(temperature=0.0, max_tokens=6)),
            "verification": Verification(rate=1.0, training_rate=1.0, traces=256),
            "prices": Prices(rollout_token=PRICE, trained_token=PRICE, verified_token=PRICE),
        }
        return self._client.train(model=self._model, budget=BUDGET, **(TINY.job | changes))

    def _finish(self, run: Run) -> None:
        try:
            for record in run.follow():
                self._say(f"  round {record.round}, attempt {record.attempt}, {len(record.digests)} trainers")
            run.wait_settled(SETTLED)
        except RunFailed as failed:
            self._say(f"  {failed.message}")


def batches(cheats: Sequence[Cheat]) -> Iterator[list[Cheat]]:
    """Cheats that may share a job, a few at a time, in their order."""
    for kind in ("rollout", "training"):
        shared = [cheat for cheat in cheats if cheat.kind == kind and not cheat.alone]
        for start in range(0, len(shared), AT_ONCE):
            yield shared[start : start + AT_ONCE]
    for cheat in cheats:
        if cheat.alone:
            yield [cheat]
