"""The coordinator's view of the chain: connected at first use, so that it may be away at the start."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, Deployment, EpochState, JobSettlement, JobState, TxReceipt


class ChainPort(Protocol):
    """What the coordinator asks of the chain. Every call blocks: use threads."""

    def owner_of(self, worker: str) -> str | None:
        """Whom a worker acts for."""
        ...

    def is_active(self, owner: str) -> bool:
        """Whether an owner's stake stands."""
        ...

    def job(self, job_id: str) -> JobState:
        """A job's account in the escrow; raises ChainError for an unknown one."""
        ...

    def epoch(self, number: int) -> EpochState:
        """What the chain keeps of an epoch."""
        ...

    def propose(self, number: int, root: str, report: str, jobs: Sequence[JobSettlement]) -> TxReceipt:
        """Propose an epoch."""
        ...

    def finalise(self, number: int) -> TxReceipt:
        """Make an epoch final."""
        ...

    def now(self) -> int:
        """The newest block's time."""
        ...


class RealChain:
    """The contracts of one deployment."""

    def __init__(self, rpc_url: str, deployment: Deployment, account: LocalAccount) -> None:
        self._rpc_url, self._deployment, self._account = rpc_url, deployment, account
        self._lock = threading.Lock()
        self._chain: Chain | None = None

    def _connected(self) -> Chain:
        with self._lock:
            if self._chain is None:
                self._chain = Chain.connect(self._rpc_url, self._deployment, self._account)
            return self._chain

    def owner_of(self, worker: str) -> str | None:
        """See ChainPort."""
        return self._connected().registry.owner_of(worker)

    def is_active(self, owner: str) -> bool:
        """See ChainPort."""
        return self._connected().registry.is_active(owner)

    def job(self, job_id: str) -> JobState:
        """See ChainPort."""
        return self._connected().escrow.job(job_id)

    def epoch(self, number: int) -> EpochState:
        """See ChainPort."""
        return self._connected().settlement.epoch(number)

    def propose(self, number: int, root: str, report: str, jobs: Sequence[JobSettlement]) -> TxReceipt:
        """See ChainPort."""
        return self._connected().settlement.propose(number, root, report, jobs)

    def finalise(self, number: int) -> TxReceipt:
        """See ChainPort."""
        return self._connected().settlement.finalise(number)

    def now(self) -> int:
        """See ChainPort."""
        return self._connected().now()
