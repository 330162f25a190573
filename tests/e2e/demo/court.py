"""What the demo reads of the court on chain, by the names of its nodes, and how the accused answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from r1net.chain.disputes import DisputePhase, Verdict
from r1net.chain.keystore import keystore_address
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import Process, wait_until

LONGEST = 600.0
"""Seconds from the end of what is disputed to that of the whole dispute; the demo's periods come to less."""


@dataclass(frozen=True)
class Court:
    """The disputes of one network; every node is party to one at most."""

    network: Network

    def owner(self, name: str) -> str:
        """The address of a node's owner."""
        return keystore_address(self.network.folder / name / "wallet.json")

    def stake(self, name: str) -> int:
        """What its owner has staked, in wei of R1."""
        return self.network.chain.registry.stake_of(self.owner(name))

    def dispute(self, accused: str) -> int:
        """The first dispute with a node; 0 while there is none."""
        disputes, owner = self.network.chain.disputes, self.owner(accused)
        numbers = range(1, disputes.count() + 1)
        return next((number for number in numbers if disputes.dispute(number).accused == owner), 0)

    def verdict(self, number: int) -> Verdict:
        """What was found; NONE for number 0."""
        return self.network.chain.disputes.dispute(number).verdict if number else Verdict.NONE

    def subject(self, number: int) -> str:
        """Digest of what is disputed; nothing for number 0."""
        return self.network.chain.disputes.subject(number)[0] if number else ""

    def transactions(self, number: int) -> list[str]:
        """Every transaction with an event of the dispute, in order; none for number 0."""
        where = {"address": self.network.chain.disputes.address, "fromBlock": "0x0"}
        logs: Any = self.network.anvil.rpc("eth_getLogs", where | {"topics": [None, f"0x{number:064x}"]})
        return list(dict.fromkeys(str(log["transactionHash"]) for log in logs)) if number else []

    def wait(self, accused: str, juror: Process) -> None:
        """Until the dispute with a node has ended."""
        wait_until(lambda: self._resolved(accused), f"the end of the dispute with {accused}", LONGEST, juror)

    def deny(self, accused: str, words: str, watcher: Process) -> None:
        """Answer for a node as soon as it is accused, or it would lose without a juror."""
        threading.Thread(target=self._deny, args=(accused, words, watcher), name=accused, daemon=True).start()

    def _deny(self, accused: str, words: str, watcher: Process) -> None:
        wait_until(lambda: bool(self.dispute(accused)), "an accusation", 3600, watcher)
        self.network.ask_node(accused, "answer", str(self.dispute(accused)), "--words", words)

    def _resolved(self, accused: str) -> bool:
        number = self.dispute(accused)
        return bool(number) and self.network.chain.disputes.dispute(number).phase is DisputePhase.RESOLVED
