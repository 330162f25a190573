"""The demo's dispute: honest nodes check a sample, accuse who cheated, a juror replays it, the stake is slashed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import BaseModel

from r1net.chain.disputes import DisputePhase
from r1net.chain.keystore import keystore_address
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import Process, wait_until

LONGEST = 240.0
"""Seconds for the whole dispute; the periods that the demo deploys come to less."""


class DisputeFigure(BaseModel):
    """What came of it. `checked` traces were replayed; `honest_rejected` counts honest workers that a check called bad.
    Of the stake that was slashed, the bounty went to the challenger, the same to the juror, and the rest was burned."""

    trace: str
    accused: str
    checked: int
    caught: bool
    honest_rejected: int
    slashed_wei: int
    bounty_wei: int
    burned_wei: int
    transactions: list[str]


class Trial:
    """`nodes`: an accuser, then a juror. `cheat` is who should be caught, in `sample` traces of each worker."""

    def __init__(
        self, network: Network, nodes: Sequence[str], cheat: str, sample: int, say: Callable[[str], None]
    ) -> None:
        self._network, self._cheat, self._sample, self._say = network, cheat, sample, say
        self._accuser, self._juror = nodes[:2]

    def run(self, job_id: str) -> DisputeFigure:
        """Check, and dispute what was found. Nothing is disputed when nothing is found."""
        with ThreadPoolExecutor() as pool:
            found_by = pool.map(lambda name: self._verify(name, job_id), (self._accuser, self._juror))
            rows = [row for found in found_by for row in found]
        worker = keystore_address(self._network.folder / self._cheat / "workers" / "0" / "key.json")
        bad = [row for row in rows if row["verdict"] == "bad"]
        found = [row for row in bad if row["worker"] == worker]
        figure = DisputeFigure(
            trace="",
            accused=self._owner(self._cheat),
            checked=sum(row["traces"] for row in rows),
            caught=bool(found),
            honest_rejected=len(bad) - len(found),
            slashed_wei=0,
            bounty_wei=0,
            burned_wei=0,
            transactions=[],
        )
        return self._dispute(job_id, found[0]["trace"], figure) if found else figure

    def _verify(self, name: str, job_id: str) -> list[dict[str, Any]]:
        answer = self._network.ask_node(name, "verify", job_id, "--sample", str(self._sample), codes=(0, 1))
        assert isinstance(answer, dict)
        for row in answer["workers"]:
            self._say(
                f"  {name} replayed {row['traces']} traces of {row['worker'][:10]}…: noise {row['noise']:.3f}, "
                f"{row['drawn']:.1%} drawn by their seeds: {row['verdict']}"
            )
        return list(answer["workers"])

    def _dispute(self, job_id: str, trace: str, figure: DisputeFigure) -> DisputeFigure:
        accuser = self._owner(self._accuser)
        stake, bounty, supply = self._money(accuser, figure.accused)
        self._network.ask_node(self._juror, "jury", "join")
        command = self._network.r1node(self._juror, "jury", "run", "--json")
        jury = self._network.supervisor.add(Process("jury", command, self._network.logs / "jury.log"))
        opened = self._network.ask_node(self._accuser, "challenge", job_id, trace)
        assert isinstance(opened, dict)
        number = int(opened["dispute"])
        self._say(f"  {self._accuser} opened dispute {number}: {'; '.join(opened['faults'])}")
        self._network.ask_node(self._cheat, "answer", str(number), "--words", "I sampled every one of them.")
        wait_until(lambda: self._resolved(number), "the dispute's end", LONGEST, jury)
        jury.stop()
        listed = self._network.ask_node(self._accuser, "disputes")
        assert isinstance(listed, list)
        verdict = str(listed[number - 1]["verdict"])
        self._say(f"  {figure.accused[:10]}… answered and denied; {self._juror} judged: {verdict}")
        after = self._money(accuser, figure.accused)
        return figure.model_copy(
            update={
                "trace": trace,
                "slashed_wei": stake - after[0] if verdict == "guilty" else 0,
                "bounty_wei": after[1] - bounty,
                "burned_wei": supply - after[2],
                "transactions": self._transactions(number),
            }
        )

    def _money(self, accuser: str, accused: str) -> tuple[int, int, int]:
        """The stake of the accused, the R1 of the accuser, and all R1 there is."""
        chain = self._network.chain
        return chain.registry.stake_of(accused), chain.token.balance(accuser), chain.token.total_supply()

    def _resolved(self, number: int) -> bool:
        return self._network.chain.disputes.dispute(number).phase is DisputePhase.RESOLVED

    def _transactions(self, number: int) -> list[str]:
        """Every transaction with an event of the dispute, in order."""
        where = {"address": self._network.chain.disputes.address, "fromBlock": "0x0"}
        logs = self._network.anvil.rpc("eth_getLogs", where | {"topics": [None, f"0x{number:064x}"]})
        return list(dict.fromkeys(str(log["transactionHash"]) for log in logs))

    def _owner(self, name: str) -> str:
        return keystore_address(self._network.folder / name / "wallet.json")
