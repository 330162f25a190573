"""The contracts' rules, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from r1net.chain import EpochState, EpochStatus, JobSettlement, JobState, TxReceipt
from r1net.errors import ChainError, ChainUnavailable
from r1net.protocol.job import (
    JobSpec,
)


@dataclass
class FakeChain:
    """The contracts' rules, as far as the coordinator meets them. `away` makes every call fail."""

    owners: dict[str, str] = field(default_factory=dict)
    inactive: set[str] = field(default_factory=set)
    jobs: dict[str, JobState] = field(default_factory=dict)
    epochs: dict[int, EpochState] = field(default_factory=dict)
    sent: list[tuple[str, int]] = field(default_factory=list)
    window: int = 0
    time: int = 0
    away: bool = False
    lose_answers: bool = False

    def _here(self) -> None:
        if self.away:
            raise ChainUnavailable("the chain's RPC endpoint does not answer", hint="start it")

    def owner_of(self, worker: str) -> str | None:
        self._here()
        return self.owners.get(worker)

    def is_active(self, owner: str) -> bool:
        self._here()
        return owner not in self.inactive

    def job(self, job_id: str) -> JobState:
        self._here()
        if job_id not in self.jobs:
            raise ChainError(f"there is no job {job_id} in this escrow")
        return self.jobs[job_id]

    def epoch(self, number: int) -> EpochState:
        self._here()
        nothing = EpochState(number, EpochStatus.NONE, "0x" + "0" * 64, "", "", 0, 0, 0)
        return self.epochs.get(number, nothing)

    def propose(self, number: int, root: str, report: str, jobs: Sequence[JobSettlement]) -> TxReceipt:
        self._here()
        if number != len(self.epochs) + 1:
            raise ChainError(f"epoch {len(self.epochs) + 1} is next")
        self.epochs[number] = EpochState(number, EpochStatus.PENDING, root, report, "", self.window, 1, 0)
        return self._sent("propose", number)

    def finalise(self, number: int) -> TxReceipt:
        self._here()
        assert self.epochs[number].status == EpochStatus.PENDING
        self.epochs[number] = replace(self.epochs[number], status=EpochStatus.FINALISED)
        return self._sent("finalise", number)

    def now(self) -> int:
        self._here()
        return self.time

    def _sent(self, what: str, number: int) -> TxReceipt:
        self.sent.append((what, number))
        if self.lose_answers:
            self.lose_answers = False
            raise ChainUnavailable("the answer was lost")
        return TxReceipt(tx_hash="0x" + f"{len(self.sent):064x}", block=1, gas_used=1, fee=1, logs=())

    def fund(self, spec: JobSpec, number: int = 1) -> str:
        """Put a job into the escrow."""
        job_id = "0x" + f"{number:064x}"
        self.jobs[job_id] = JobState(
            job_id, spec.submitter, spec.payment_token, spec.budget, spec.budget, 0, spec.budget, 0, 0, spec.digest()
        )
        return job_id
