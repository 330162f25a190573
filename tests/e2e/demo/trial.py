"""The demo's justice, with nobody typing a command: hosts replay what is drawn, a watcher disputes what failed, a juror
replays it once more, the stake is slashed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel

from r1net.chain.disputes import DisputePhase, Verdict
from r1net.chain.keystore import keystore_address
from r1net.protocol.checks import CheckView
from r1net.protocol.views import AccountRewards
from r1net.transport import Transport
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import Process, wait_until

LONGEST = 300.0
"""Seconds from the job's end to that of the whole dispute; the periods that the demo deploys come to less."""


class DisputeFigure(BaseModel):
    """What came of it. `checked` traces were replayed; `honest_rejected` counts the submissions of honest workers that
    a check called bad; `cheat_paid` what the cheat may claim. Of the stake that was slashed, the bounty went to the
    challenger, a fee to the juror, and half was burned."""

    trace: str
    accused: str
    checked: int
    caught: bool
    honest_rejected: int
    cheat_paid: int
    slashed_wei: int
    bounty_wei: int
    burned_wei: int
    transactions: list[str]


class Trial:
    """`nodes`: whose owner watches, then whose owner judges. `cheat` is who should be caught."""

    def __init__(self, network: Network, nodes: Sequence[str], cheat: str, say: Callable[[str], None]) -> None:
        self._network, self._cheat, self._say = network, cheat, say
        self._watcher, self._juror = nodes[:2]
        self._before = (0, 0, 0)
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
        threading.Thread(target=self._deny, name="the accused", daemon=True).start()

    def _deny(self) -> None:
        """What the cheat does when it is accused: else it would lose without a juror."""
        wait_until(lambda: bool(self._first()), "an accusation", 3600, self._processes[0])
        self._network.ask_node(self._cheat, "answer", str(self._first()), "--words", "I sampled every one of them.")

    def run(self, job_id: str, claimed: int) -> DisputeFigure:
        """Wait for the dispute over the cheat's work to end. There is none when nothing was found. `claimed`: R1 that
        the watcher's owner got for its node's work meanwhile."""
        checks = list(self._source.walk(f"/v1/jobs/{job_id}/checks", CheckView, 100))
        drawn = [row for row in checks if row.state not in ("waiting", "spared") and not row.planted]
        cheats = self._owner(self._cheat)
        caught = [row for row in drawn if row.state == "failed" and row.owner == cheats]
        replayed = sum(len(row.positions) for row in drawn)
        self._say(f"  {len(drawn)} of {len(checks)} submissions were drawn, {replayed} traces replayed by other owners")
        figure = DisputeFigure(
            trace="",
            accused=cheats,
            checked=replayed,
            caught=bool(caught),
            honest_rejected=sum(row.owner != cheats for row in drawn if row.state in ("failed", "dropped")),
            cheat_paid=self._source.get(f"/v1/accounts/{cheats}/rewards", AccountRewards).final,
            slashed_wei=0,
            bounty_wei=0,
            burned_wei=0,
            transactions=[],
        )
        if not caught:
            return figure
        for vote in caught[0].votes:
            self._say(f"  {vote.worker[:10]}… replayed {caught[0].worker[:10]}…: {'; '.join(vote.finding.faults)}")
        return self._judged(figure, claimed)

    def _judged(self, figure: DisputeFigure, claimed: int) -> DisputeFigure:
        wait_until(self._resolved, "the dispute's end", LONGEST, self._processes[1])
        number = self._first()
        for process in self._processes:
            process.stop()
        disputes = self._network.chain.disputes
        verdict = disputes.dispute(number).verdict
        self._say(f"  the watcher opened dispute {number}; verdict: {verdict.name.lower()}")
        guilty, after = verdict is Verdict.GUILTY, self._money()
        stake, bounty, supply = self._before
        return figure.model_copy(
            update={
                "trace": disputes.subject(number)[0],
                "slashed_wei": stake - after[0] if guilty else 0,
                "bounty_wei": after[1] - bounty - claimed,
                "burned_wei": supply - after[2],
                "transactions": self._transactions(number),
            }
        )

    def _all_staked(self) -> bool:
        names = (self._watcher, self._juror, self._cheat)
        return all(self._network.chain.registry.is_active(self._owner(name)) for name in names)

    def _first(self) -> int:
        """The first dispute with the cheat; 0 while there is none."""
        disputes = self._network.chain.disputes
        accused = self._owner(self._cheat)
        numbers = range(1, disputes.count() + 1)
        return next((number for number in numbers if disputes.dispute(number).accused == accused), 0)

    def _resolved(self) -> bool:
        number = self._first()
        return bool(number) and self._network.chain.disputes.dispute(number).phase is DisputePhase.RESOLVED

    def _money(self) -> tuple[int, int, int]:
        """The stake of the cheat, the R1 of the watcher, and all R1 there is."""
        chain = self._network.chain
        stake = chain.registry.stake_of(self._owner(self._cheat))
        return stake, chain.token.balance(self._owner(self._watcher)), chain.token.total_supply()

    def _transactions(self, number: int) -> list[str]:
        """Every transaction with an event of the dispute, in order."""
        where = {"address": self._network.chain.disputes.address, "fromBlock": "0x0"}
        logs: Any = self._network.anvil.rpc("eth_getLogs", where | {"topics": [None, f"0x{number:064x}"]})
        return list(dict.fromkeys(str(log["transactionHash"]) for log in logs))

    def _owner(self, name: str) -> str:
        return keystore_address(self._network.folder / name / "wallet.json")
