"""One real network, three honest nodes of different owners, and the cheats that join it, a few at a time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from r1net import R1, Evaluation, Run, Sampling, Verification
from r1net.chain.keystore import create_keystore
from r1net.runs import RunFailed
from r1node.settings import Settings
from tests.adversarial.network.catalogue import Cheat, Member
from tests.adversarial.network.outcomes import Outcome, Reading
from tests.adversarial.network.verifiers import PARTNERS
from tests.e2e.demo.profiles import TINY
from tests.e2e.harness.chain import ROOT, compile_contracts
from tests.e2e.harness.network import QUICK_SCRYPT, Network
from tests.e2e.harness.processes import Process, wait_until

HONEST = ("node1", "node2", "node3")
AT_ONCE = 6
"""Cheats that share a job."""

BUDGET = 10 * R1
COMMON = {
    "lease_seconds": "12",
    "heartbeat_seconds": "2",
    "lost_after_seconds": "8",
    "settlement_poll_seconds": "1",
    "deadline_factor": "3",
    "min_deadline_seconds": "30",
}
"""Coordinator settings under which what a cheat keeps back is missed within half a minute."""


@dataclass(frozen=True)
class Rogue:
    """One process of a cheat, running."""

    member: Member
    process: Process
    folder: str
    owner: str
    worker: str

    @property
    def log(self) -> str:
        """All that it said."""
        return self.process.log.read_text(errors="replace")


class Gallery:
    """`say` is told what goes on."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.network = Network(folder, settings=COMMON)
        self._say = say
        self._owners: dict[str, str] = {}
        self._heard: dict[str, int] = {}
        self._model = TINY.model(ROOT / "build" / "models" / "tiny")

    def open(self) -> None:
        """Chain, coordinator, honest nodes, a submitter."""
        self._say("compiling the contracts, starting the chain, the coordinator and three honest nodes")
        compile_contracts()
        self.network.start_chain()
        self.network.start_coordinator()
        for name in HONEST:
            self._join(self.network.start_node(name))
        self._client = self.network.client(1000 * BUDGET)

    def close(self) -> None:
        """End every process."""
        self.network.stop()

    def show(self, cheats: Sequence[Cheat]) -> Iterator[Outcome]:
        """Cheat by cheat what came of it, as it comes."""
        for batch in batches(cheats):
            yield from self._batch(batch)

    def _batch(self, cheats: Sequence[Cheat]) -> list[Outcome]:
        started = time.monotonic()
        self._say(f"{', '.join(cheat.name for cheat in cheats)}")
        absent = max(cheat.away for cheat in cheats)
        away = [self.network.supervisor.processes[name] for name in HONEST[len(HONEST) - absent :]]
        for process in away:
            process.stop()
        crews = self._start(cheats)
        reading = Reading(self._client, self.network, HONEST)
        run = self._submit(cheats)
        self._finish(run)
        seconds = (time.monotonic() - started) / len(cheats)
        outcomes = [reading.outcome(cheat, run, crews[cheat.name], seconds) for cheat in cheats]
        for rogue in (rogue for crew in crews.values() for rogue in crew):
            rogue.process.stop()
        for process in away:
            process.start()
            self._join(process)
        return outcomes

    def _finish(self, run: Run) -> None:
        try:
            for record in run.follow():
                self._say(f"  round {record.round}, attempt {record.attempt}, {len(record.digests)} trainers")
            run.wait_settled(120)
        except RunFailed as failed:
            self._say(f"  {failed.message}")

    def _submit(self, cheats: Sequence[Cheat]) -> Run:
        changes = {
            "name": cheats[0].name if len(cheats) == 1 else f"{cheats[0].name} and {len(cheats) - 1} more",
            "rounds": max(cheat.rounds for cheat in cheats),
            "groups_per_round": max(cheat.groups for cheat in cheats),
            "evaluation": Evaluation(problems=4, sampling=Sampling(temperature=0.0, max_tokens=6)),
            "verification": Verification(rate=1.0, traces=256),
        }
        return self._client.train(model=self._model, budget=BUDGET, **(TINY.job | changes))

    def _start(self, cheats: Sequence[Cheat]) -> dict[str, list[Rogue]]:
        """The processes of several cheats, by name; they start side by side."""
        crews = {cheat.name: self._crew(cheat) for cheat in cheats}
        for crew in crews.values():
            for rogue in crew:
                self._join(rogue.process)
        return crews

    def _crew(self, cheat: Cheat) -> list[Rogue]:
        keys = [self._found(cheat, place, member) for place, member in enumerate(cheat.members)]
        partners = ",".join(worker for _, _, worker in keys)
        return [
            Rogue(member, self._run(cheat, place, member, keys[place][0], partners), *keys[place])
            for place, member in enumerate(cheat.members)
        ]

    def _found(self, cheat: Cheat, place: int, member: Member) -> tuple[str, str, str]:
        """Keys and a stake for one process: its folder, owner and worker. The owner's wallet is made once."""
        network, folder = self.network, f"{cheat.name}-{member.owner}"
        settings = Settings(data_dir=network.folder / folder, worker=str(place))
        password = network.password_file.read_text()
        if not settings.owner_keystore.exists():
            owner = create_keystore(settings.owner_keystore, password, iterations=QUICK_SCRYPT).address
            network.anvil.fund(owner)
            network.chain.token.transfer(owner, network.chain.registry.min_stake())
            self._owners[folder] = owner
        worker = create_keystore(settings.worker_keystore, password, iterations=QUICK_SCRYPT).address
        return folder, self._owners[folder], worker

    def _run(self, cheat: Cheat, place: int, member: Member, folder: str, partners: str) -> Process:
        arguments = self.network.r1node(folder, "join", "--threads", "1", "--device", "cpu", "--worker", str(place))
        command = [sys.executable, "-m", "tests.adversarial.network.rogue", member.rogue, *arguments[1:]]
        name = f"{cheat.name}-{place}"
        env = {"PYTHONUNBUFFERED": "1", PARTNERS: partners}
        return self.network.supervisor.add(Process(name, command, self.network.logs / f"{name}.log", env))

    def _join(self, process: Process) -> None:
        """Until it has joined, since it was started last."""
        since = self._heard.get(process.name, 0)
        wait_until(lambda: "  joined " in process.log.read_text()[since:], f"{process.name} to join", 180, process)
        self._heard[process.name] = len(process.log.read_text())


def batches(cheats: Sequence[Cheat]) -> Iterator[list[Cheat]]:
    """Cheats that may share a job, a few at a time, in their order."""
    shared = [cheat for cheat in cheats if not cheat.alone]
    for kind in ("rollout", "training"):
        of_kind = [cheat for cheat in shared if cheat.kind == kind]
        for start in range(0, len(of_kind), AT_ONCE):
            yield of_kind[start : start + AT_ONCE]
    for cheat in cheats:
        if cheat.alone:
            yield [cheat]
