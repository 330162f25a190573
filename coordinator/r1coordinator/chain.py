"""The coordinator's view of the chain: connected at first use, so that it may be away at the start."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, Deployment, EpochContent, EpochState, JobSettlement, JobState, TxReceipt


class ChainPort(Protocol):
    """What the coordinator asks of the chain. Every call blocks: use threads."""

    def owner_of(self, worker: str) -> str | None:
        """Whom a worker acts for."""
        ...

    def is_active(self, owner: str) -> bool:
        """Whether an owner's stake stands."""
        ...

    def stakes(self, owner: str) -> int:
        """How many full minimum stakes an owner has."""
        ...

    def job(self, job_id: str, depth: int = 0) -> JobState:
        """A job's account in the escrow, `depth` blocks ago; raises ChainError for an unknown one."""
        ...

    def chain_id(self) -> int:
        """The deployment's chain; known without asking."""
        ...

    def next_epoch(self) -> int:
        """The number that the next proposal must have."""
        ...

    def challenge_window(self) -> int:
        """Seconds that a new epoch stays open to challenge."""
        ...

    def epoch(self, number: int, depth: int = 0) -> EpochState:
        """What the chain keeps of an epoch, `depth` blocks ago."""
        ...

    def content(self, number: int) -> EpochContent:
        """All that an epoch on chain says."""
        ...

    def account(self) -> str:
        """Who proposes here; known without asking."""
        ...

    def check(self, number: int, jobs: Sequence[JobSettlement]) -> None:
        """Try a proposal without sending it; raises ChainError with the reason why it would be refused."""
        ...

    def propose(self, number: int, jobs: Sequence[JobSettlement]) -> TxReceipt:
        """Propose an epoch."""
        ...

    def finalise(self, number: int) -> TxReceipt:
        """Pay the lines of an epoch that can be paid."""
        ...

    def unwind(self, number: int) -> TxReceipt:
        """Give the reserves of an epoch's rejected lines back to their jobs."""
        ...

    def now(self) -> int:
        """The settlement's clock at the newest block: what the deadlines of epochs are compared with."""
        ...

    def at_risk(self) -> int:
        """What a conviction takes of any owner's stake, in wei of R1."""
        ...

    def head(self) -> int:
        """The newest block's number."""
        ...

    def block_hash(self, number: int) -> str:
        """The hash of a block that is mined."""
        ...


class RealChain:
    """The contracts of one deployment. `fee_cap` is the most to offer for a unit of gas, in wei."""

    def __init__(self, rpc_url: str, deployment: Deployment, account: LocalAccount, fee_cap: int) -> None:
        self._rpc_url, self._deployment, self._account, self._fee_cap = rpc_url, deployment, account, fee_cap
        self._lock = threading.Lock()
        self._chain: Chain | None = None

    def _connected(self) -> Chain:
        with self._lock:
            if self._chain is None:
                self._chain = Chain.connect(self._rpc_url, self._deployment, self._account)
                self._chain.sender.fee_cap = self._fee_cap
            return self._chain

    def owner_of(self, worker: str) -> str | None:
        """See ChainPort."""
        return self._connected().registry.owner_of(worker)

    def is_active(self, owner: str) -> bool:
        """See ChainPort."""
        return self._connected().registry.is_active(owner)

    def stakes(self, owner: str) -> int:
        """See ChainPort."""
        registry = self._connected().registry
        return registry.stake_of(owner) // max(registry.min_stake(), 1)

    def job(self, job_id: str, depth: int = 0) -> JobState:
        """See ChainPort."""
        return self._connected().escrow.job(job_id, depth)

    def chain_id(self) -> int:
        """See ChainPort."""
        return self._deployment.chain_id

    def next_epoch(self) -> int:
        """See ChainPort."""
        return self._connected().settlement.next_epoch()

    def challenge_window(self) -> int:
        """See ChainPort."""
        return self._connected().settlement.challenge_window()

    def epoch(self, number: int, depth: int = 0) -> EpochState:
        """See ChainPort."""
        return self._connected().settlement.epoch(number, depth)

    def content(self, number: int) -> EpochContent:
        """See ChainPort."""
        return self._connected().settlement.content(number)

    def account(self) -> str:
        """See ChainPort."""
        return str(self._account.address)

    def check(self, number: int, jobs: Sequence[JobSettlement]) -> None:
        """See ChainPort."""
        self._connected().settlement.check(number, jobs)

    def propose(self, number: int, jobs: Sequence[JobSettlement]) -> TxReceipt:
        """See ChainPort."""
        return self._connected().settlement.propose(number, jobs)

    def finalise(self, number: int) -> TxReceipt:
        """See ChainPort."""
        return self._connected().settlement.finalise(number)

    def unwind(self, number: int) -> TxReceipt:
        """See ChainPort."""
        return self._connected().settlement.unwind(number)

    def now(self) -> int:
        """See ChainPort."""
        return self._connected().settlement.clock()

    def at_risk(self) -> int:
        """See ChainPort."""
        return self._connected().at_risk()

    def head(self) -> int:
        """See ChainPort."""
        return self._connected().head()

    def block_hash(self, number: int) -> str:
        """See ChainPort."""
        return self._connected().block_hash(number)
