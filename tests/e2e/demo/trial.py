"""The demo's justice, with nobody typing a command: hosts repeat what is drawn, a watcher disputes what failed, a juror
repeats it once more, the stakes are slashed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel

from r1net.chain.disputes import DisputePhase, Verdict
from r1net.chain.keystore import keystore_address
from r1net.protocol.checks import CheckView
from r1net.protocol.views import AccountRewards
from r1net.transport import Transport
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import Process, wait_until

LONGEST = 600.0
"""Seconds from the job's end to that of the whole dispute; the periods that the demo deploys come to less."""


class Conviction(BaseModel):
    """One cheat, and what came of it: `paid` is what it may claim."""

    cheat: str
    accused: str
    subject: str
    caught: bool
    paid: int
    slashed_wei: int
    transactions: list[str]


class Justice(BaseModel):
    """What the courts did. `checked` pieces of work were repeated; `honest_rejected` counts those of honest workers
    that a check called bad. Of the stakes that were slashed, bounties went to the watcher, fees to the juror, and half
    was burned."""

    checked: int
    honest_rejected: int
    convictions: list[Conviction]
    bounty_wei: int
    burned_wei: int

    @property
    def done(self) -> bool:
        """Whether every cheat, and nobody else, was found, unpaid and slashed."""
        return not self.honest_rejected and all(c.caught and not c.paid and c.slashed_wei for c in self.convictions)


@dataclass(frozen=True)
class Money:
    """The stakes of the cheats, the R1 of the watcher, and all R1 there is."""

    stakes: dict[str, int]
    watcher: int
    supply: int


class Trial:
    """`nodes`: whose owner watches, then whose owner judges. `cheats`: who should be caught, and what each says when it
    is accused; else it would lose without a juror."""

    def __init__(
        self, network: Network, nodes: Sequence[str], cheats: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._network, self._cheats, self._say = network, cheats, say
        self._watcher, self._juror = nodes[:2]
        self._before = Money({}, 0, 0)
        self._processes: list[Process] = []
        self._source = Transport(network.url)

    def begin(self) -> None:
        """The juror joins the pool; watcher and juror start, to run as long as the network does."""
        wait_until(self._all_staked, "the hosts' stakes", 60)
        self._before = self._money()
        self._network.ask_node(self._juror, "jury", "join")
        commands = {"watch": (self._watcher, "watch"), "jury": (self._juror, "jury", "run")}
        for name, (node, *command) in commands.items():
            process = Process(name, self._network.r1node(node, *command, "--json"), self._network.logs / f"{name}.log")
            self._processes.append(self._network.supervisor.add(process))
        for cheat, words in self._cheats.items():
            threading.Thread(target=self._deny, args=(cheat, words), name=cheat, daemon=True).start()

    def _deny(self, cheat: str, words: str) -> None:
        wait_until(lambda: bool(self._dispute(cheat)), "an accusation", 3600, self._processes[0])
        self._network.ask_node(cheat, "answer", str(self._dispute(cheat)), "--words", words)

    def run(self, job_id: str, claimed: int) -> Justice:
        """Wait for the disputes over the cheats' work to end. There is none over what was not found. `claimed`: R1 that
        the watcher's owner got for its node's work meanwhile."""
        checks = list(self._source.walk(f"/v1/jobs/{job_id}/checks", CheckView, 100))
        drawn = [row for row in checks if row.state not in ("waiting", "spared") and not row.planted]
        cheats = {self._owner(cheat): cheat for cheat in self._cheats}
        caught = {cheats[row.owner]: row for row in reversed(drawn) if row.state == "failed" and row.owner in cheats}
        self._say(f"  {len(drawn)} of {len(checks)} submissions and gradients were drawn, and repeated by other owners")
        for row in caught.values():
            for vote in row.votes:
                self._say(f"  {vote.worker[:10]}… repeated {row.worker[:10]}…: {'; '.join(vote.finding.faults)}")
        for cheat in caught:
            wait_until(partial(self._resolved, cheat), "the dispute's end", LONGEST, self._processes[1])
        for process in self._processes:
            process.stop()
        after = self._money()
        return Justice(
            checked=sum(len(row.positions) for row in drawn),
            honest_rejected=sum(row.owner not in cheats for row in drawn if row.state in ("failed", "dropped")),
            convictions=[self._conviction(cheat, after, caught=cheat in caught) for cheat in self._cheats],
            bounty_wei=after.watcher - self._before.watcher - claimed,
            burned_wei=self._before.supply - after.supply,
        )

    def _conviction(self, cheat: str, after: Money, *, caught: bool) -> Conviction:
        disputes, number, owner = self._network.chain.disputes, self._dispute(cheat), self._owner(cheat)
        verdict = disputes.dispute(number).verdict if number else Verdict.NONE
        if number:
            self._say(f"  the watcher opened dispute {number} against {cheat}; verdict: {verdict.name.lower()}")
        return Conviction(
            cheat=cheat,
            accused=owner,
            subject=disputes.subject(number)[0] if number else "",
            caught=caught,
            paid=self._source.get(f"/v1/accounts/{owner}/rewards", AccountRewards).final,
            slashed_wei=self._before.stakes[cheat] - after.stakes[cheat] if verdict is Verdict.GUILTY else 0,
            transactions=self._transactions(number) if number else [],
        )

    def _all_staked(self) -> bool:
        names = (self._watcher, self._juror, *self._cheats)
        return all(self._network.chain.registry.is_active(self._owner(name)) for name in names)

    def _dispute(self, cheat: str) -> int:
        """The first dispute with a cheat; 0 while there is none."""
        disputes, accused = self._network.chain.disputes, self._owner(cheat)
        numbers = range(1, disputes.count() + 1)
        return next((number for number in numbers if disputes.dispute(number).accused == accused), 0)

    def _resolved(self, cheat: str) -> bool:
        number = self._dispute(cheat)
        return bool(number) and self._network.chain.disputes.dispute(number).phase is DisputePhase.RESOLVED

    def _money(self) -> Money:
        chain = self._network.chain
        stakes = {cheat: chain.registry.stake_of(self._owner(cheat)) for cheat in self._cheats}
        return Money(stakes, chain.token.balance(self._owner(self._watcher)), chain.token.total_supply())

    def _transactions(self, number: int) -> list[str]:
        """Every transaction with an event of the dispute, in order."""
        where = {"address": self._network.chain.disputes.address, "fromBlock": "0x0"}
        logs: Any = self._network.anvil.rpc("eth_getLogs", where | {"topics": [None, f"0x{number:064x}"]})
        return list(dict.fromkeys(str(log["transactionHash"]) for log in logs))

    def _owner(self, name: str) -> str:
        return keystore_address(self._network.folder / name / "wallet.json")
