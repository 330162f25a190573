"""The demo's robbery: another settler's epoch that pays itself, which the watcher and the juror undo."""

from __future__ import annotations

import sys

from pydantic import BaseModel

from r1net.chain import LineStatus
from r1net.chain.disputes import Verdict
from tests.e2e.demo.court import Court
from tests.e2e.harness.processes import Process, wait_until

ROBBER = "robber"
EXCUSE = "It was left over."


class Robbery(BaseModel):
    """What came of it. The robber wanted `wanted_wei` and was paid `paid_wei`; it lost `slashed_wei` of its stake,
    `bond_wei` of which it had locked for its epoch. `honest_paid`: whether every line of all other epochs is paid."""

    accused: str
    epoch: int
    wanted_wei: int
    paid_wei: int
    rejected: bool
    suspended: bool
    slashed_wei: int
    bond_wei: int
    honest_paid: bool
    transactions: list[str]

    @property
    def foiled(self) -> bool:
        """Whether the robber lost its bond and more and settles no more, and nobody else lost anything."""
        punished = self.suspended and self.slashed_wei > self.bond_wei > 0
        return self.rejected and punished and not self.paid_wei and self.honest_paid


class Heist:
    """A robbery while it goes on: begun here, found out by `watcher`, ended by `juror`."""

    def __init__(self, court: Court, job_id: str, watcher: Process) -> None:
        network = court.network
        self._court, self._chain = court, network.chain
        self._owner = court.owner(ROBBER)
        self._epoch = self._chain.settlement.next_epoch()
        self._stake = court.stake(ROBBER)
        self._held = self._chain.token.balance(self._owner)
        court.deny(ROBBER, EXCUSE, watcher)
        command = [
            *(sys.executable, "-m", "tests.e2e.demo.robber", "--coordinator", network.url, "--job", job_id),
            *("--data-dir", str(network.folder / ROBBER), "--password-file", str(network.password_file)),
        ]
        process = Process(ROBBER, command, network.logs / f"{ROBBER}.log")
        network.supervisor.add(process)
        wait_until(self._proposed, "the robbery", 180, process)
        self._bond = self._chain.settlement.bond_of(self._epoch)

    def end(self, juror: Process) -> Robbery:
        """Wait for the verdict, and look who has lost what."""
        self._court.wait(ROBBER, juror)
        number, settlement = self._court.dispute(ROBBER), self._chain.settlement
        guilty = self._court.verdict(number) is Verdict.GUILTY
        fallen = settlement.status(self._epoch, 0) in (LineStatus.REJECTED, LineStatus.UNWOUND)
        return Robbery(
            accused=self._owner,
            epoch=self._epoch,
            wanted_wei=settlement.content(self._epoch).jobs[0].amount,
            paid_wei=self._chain.token.balance(self._owner) - self._held,
            rejected=guilty and fallen,
            suspended=settlement.is_suspended(self._owner),
            slashed_wei=self._stake - self._court.stake(ROBBER),
            bond_wei=self._bond,
            honest_paid=all(
                self._is_paid(epoch) for epoch in range(1, settlement.next_epoch()) if epoch != self._epoch
            ),
            transactions=self._court.transactions(number),
        )

    def _proposed(self) -> bool:
        return self._chain.settlement.next_epoch() > self._epoch

    def _is_paid(self, epoch: int) -> bool:
        state = self._chain.settlement.epoch(epoch)
        return len(state.lines_that_are(LineStatus.FINALISED)) == state.lines
