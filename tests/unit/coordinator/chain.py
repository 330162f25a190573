"""The contracts' rules, in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from r1net.chain import EpochContent, EpochState, JobSettlement, JobState, LineStatus, Reverted, TxReceipt
from r1net.errors import ChainError, ChainUnavailable
from r1net.protocol.canonical import sha256
from r1net.protocol.job import (
    JobSpec,
)
from tests.unit.coordinator.jobs import CHAIN_ID

SETTLER = "0x" + "5e" * 20


@dataclass
class State:
    """What a block fixes."""

    jobs: dict[str, JobState] = field(default_factory=dict)
    epochs: dict[int, EpochState] = field(default_factory=dict)
    contents: dict[int, EpochContent] = field(default_factory=dict)
    transaction: Callable[[], TxReceipt] | None = None


def reverted(name: str, **values: Any) -> Reverted:
    """A contract's refusal, before anything was sent."""
    return Reverted(name, values, f"{name}: {values}", None)


@dataclass
class FakeChain:
    """The contracts' rules, as far as the coordinator meets them: each transaction is a block, and blocks can be
    taken back. `away` makes every call fail; `meanwhile` runs once between a look and the next transaction."""

    owners: dict[str, str] = field(default_factory=dict)
    inactive: set[str] = field(default_factory=set)
    minimum_stakes: dict[str, int] = field(default_factory=dict)
    state: State = field(default_factory=State)
    history: list[State] = field(default_factory=list)
    sent: list[tuple[str, int]] = field(default_factory=list)
    bad_tokens: set[str] = field(default_factory=set)
    window: int = 0
    risk: int = 0
    time: int = 0
    away: bool = False
    lose_answers: bool = False
    paused: bool = False
    meanwhile: Callable[[], None] | None = None

    @property
    def jobs(self) -> dict[str, JobState]:
        """The escrow, as of the newest block."""
        return self.state.jobs

    @property
    def epochs(self) -> dict[int, EpochState]:
        """The epochs, as of the newest block."""
        return self.state.epochs

    def _here(self) -> None:
        if self.away:
            raise ChainUnavailable("the chain's RPC endpoint does not answer", hint="start it")

    def _at(self, depth: int) -> State:
        self._here()
        if depth == 0:
            return self.state
        return self.history[-1 - depth] if depth < len(self.history) else State()

    def mine(self, blocks: int = 1) -> None:
        """Blocks without a transaction of the settler's."""
        self.state.transaction = None
        self.history += [deepcopy(self.state) for _ in range(blocks)]

    def reorganise(self, blocks: int, *, again: bool = False) -> None:
        """Take the newest blocks back, with all that was in them; `again` includes the settler's transactions once
        more, as far as they are still good."""
        cut = max(0, len(self.history) - blocks)
        taken = self.history[cut:]
        del self.history[cut:]
        self.state = deepcopy(self.history[-1]) if self.history else State()
        for block in taken if again else ():
            if block.transaction is not None:
                with suppress(ChainError):
                    block.transaction()

    def owner_of(self, worker: str) -> str | None:
        self._here()
        return self.owners.get(worker)

    def is_active(self, owner: str) -> bool:
        self._here()
        return owner not in self.inactive

    def stakes(self, owner: str) -> int:
        self._here()
        return self.minimum_stakes.get(owner, 1)

    def job(self, job_id: str, depth: int = 0) -> JobState:
        jobs = self._at(depth).jobs
        if job_id not in jobs:
            raise reverted("UnknownJob", jobId=job_id)
        return jobs[job_id]

    def chain_id(self) -> int:
        return CHAIN_ID

    def next_epoch(self) -> int:
        self._here()
        return max(self.epochs, default=0) + 1

    def challenge_window(self) -> int:
        self._here()
        return self.window

    def epoch(self, number: int, depth: int = 0) -> EpochState:
        return self._at(depth).epochs.get(number, EpochState(number, "", "", 0, 0, 0, 0, 0, 0, 0))

    def content(self, number: int) -> EpochContent:
        self._here()
        return self.state.contents[number]

    def account(self) -> str:
        return SETTLER

    def check(self, number: int, jobs: Sequence[JobSettlement]) -> None:
        before = deepcopy(self.state)
        self._here()
        try:
            self._propose(number, jobs, SETTLER)
        finally:
            self.state = before

    def propose(self, number: int, jobs: Sequence[JobSettlement], settler: str = SETTLER) -> TxReceipt:
        self._here()
        if self.meanwhile is not None:
            self.meanwhile, act = None, self.meanwhile
            act()
        before = deepcopy(self.state)
        try:
            self._propose(number, jobs, settler)
        except ChainError:
            self.state = before
            raise
        return self._sent("propose", number, lambda: self.propose(number, jobs, settler))

    def _propose(self, number: int, jobs: Sequence[JobSettlement], settler: str) -> None:
        if self.paused:
            raise reverted("IsPaused", until=0)
        if number != self.next_epoch():
            raise reverted("WrongEpoch", epoch=number, expected=self.next_epoch())
        if not jobs:
            raise reverted("NoJobs")
        for job in jobs:
            self._reserve(job.job_id, job.amount)
        content = EpochContent.of(number, jobs)
        end = self.time + self.window
        self.epochs[number] = EpochState(number, content.commitment(), settler, end, 1, len(jobs), 0, 0, 0, 0)
        self.state.contents[number] = content

    def _reserve(self, job_id: str, amount: int) -> None:
        if job_id not in self.jobs:
            raise reverted("UnknownJob", jobId=job_id)
        account = self.jobs[job_id]
        if amount > account.epoch_cap:
            raise reverted("EpochCapExceeded", jobId=job_id, amount=amount, cap=account.epoch_cap)
        if amount > account.available:
            raise reverted("InsufficientFunds", jobId=job_id, amount=amount, available=account.available)
        self._move(job_id, -amount, amount)

    def _move(self, job_id: str, available: int, reserved: int) -> None:
        account = self.jobs[job_id]
        self.jobs[job_id] = replace(
            account, available=account.available + available, reserved=account.reserved + reserved
        )

    def finalise(self, number: int) -> TxReceipt:
        self._here()
        if number not in self.epochs or not self.epochs[number].payable():
            raise reverted("NothingToPay", epoch=number)
        if self.epochs[number].finalisable_at > self.time:
            raise reverted("WindowOpen", finalisableAt=self.epochs[number].finalisable_at)
        for line in self.epochs[number].payable():
            job = self.state.contents[number].jobs[line]
            if self.jobs[job.job_id].token not in self.bad_tokens:
                self._move(job.job_id, 0, -job.amount)
                self.mark(number, line, "paid")
        return self._sent("finalise", number, lambda: self.finalise(number))

    def unwind(self, number: int) -> TxReceipt:
        self._here()
        rejected = self.epochs[number].lines_that_are(LineStatus.REJECTED) if number in self.epochs else []
        if not rejected:
            raise reverted("NothingToUnwind", epoch=number)
        for line in rejected:
            job = self.state.contents[number].jobs[line]
            self._move(job.job_id, job.amount, -job.amount)
            self.mark(number, line, "unwound")
        return self._sent("unwind", number, lambda: self.unwind(number))

    def mark(self, number: int, line: int, what: str) -> None:
        """Flip a line's bit: paid, rejected, unwound or disputed."""
        epoch = self.epochs[number]
        self.epochs[number] = replace(epoch, **{what: getattr(epoch, what) ^ 1 << line})

    def now(self) -> int:
        self._here()
        return self.time

    def at_risk(self) -> int:
        """See ChainPort."""
        self._here()
        return self.risk

    def head(self) -> int:
        self._here()
        return len(self.history)

    def block_hash(self, number: int) -> str:
        self._here()
        assert 0 < number <= len(self.history)
        return sha256(f"block {number}".encode())

    def _sent(self, what: str, number: int, again: Callable[[], TxReceipt]) -> TxReceipt:
        self.mine()
        self.history[-1].transaction = again
        self.sent.append((what, number))
        if self.lose_answers:
            self.lose_answers = False
            raise ChainUnavailable("the answer was lost")
        return TxReceipt(tx_hash="0x" + f"{len(self.sent):064x}", block=1, gas_used=1, fee=1, logs=())

    def reject(self, number: int, line: int = 0) -> None:
        """As a dispute without a verdict does."""
        assert self.epochs[number].status(line) is LineStatus.PENDING
        self.mark(number, line, "rejected")
        self.mine()

    def convict(self, number: int) -> None:
        """As a lost dispute does: all of the epoch's lines that aren't paid."""
        for line in self.epochs[number].lines_that_are(LineStatus.PENDING):
            self.mark(number, line, "rejected")
        self.epochs[number] = replace(self.epochs[number], disputed=0)
        self.mine()

    def close(self, job_id: str) -> None:
        """The submitter closes a job."""
        self.jobs[job_id] = replace(self.jobs[job_id], closed_at=max(1, self.time))
        self.mine()

    def refund(self, job_id: str) -> None:
        """The submitter takes back what is left, the grace period being over."""
        account = self.jobs[job_id]
        assert account.closed_at
        self.jobs[job_id] = replace(account, available=0, refunded=account.refunded + account.available)
        self.mine()

    def fund(self, spec: JobSpec, number: int = 1) -> str:
        """Put a job into the escrow."""
        job_id = "0x" + f"{number:064x}"
        self.jobs[job_id] = JobState(
            job_id=job_id,
            submitter=spec.submitter,
            token=spec.payment_token,
            epoch_cap=spec.budget,
            available=spec.budget,
            reserved=0,
            funded=spec.budget,
            refunded=0,
            closed_at=0,
            spec_digest=spec.digest(),
            allowance=spec.budget,
        )
        self.mine()
        return job_id
