"""A coordinator's books in which jobs owe money, on the contracts' rules in memory: settlement without the rest."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.intake import add_job
from r1coordinator.settings import Settings
from r1coordinator.settlement.close import close_due
from r1coordinator.settlement.sender import Settler
from r1coordinator.store.blobs import BlobStore
from r1coordinator.store.database import Database
from r1coordinator.store.rows import token_of
from r1coordinator.store.tables import Base, ContributionRow, DueRow, EpochRow, JobRow, LineRow, TraceRow
from r1net.chain import JobState, LineStatus
from r1net.protocol.job import JobSpec, Prices, SubmitJob
from r1net.protocol.settlement import JobEpoch
from tests.unit.coordinator.chain import FakeChain
from tests.unit.coordinator.jobs import job_spec, key

LIVE = (LineStatus.PENDING, LineStatus.FINALISED)


class Killed(BaseException):
    """The process dies here."""


class Books:
    """The stores, the chain, and a clock that is told the time."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = Settings(database=f"sqlite:///{folder / 'books.db'}", settlement_poll_seconds=1.0, **settings)
        (folder / "books.db").write_bytes(_empty())
        self.db = Database(self.settings.database)
        self.chain = FakeChain(window=10)
        self.time = 0.0
        self.funded: set[str] = set()
        self.restart()

    def restart(self) -> None:
        """A new process on the same books."""
        self.settler = Settler(self.db, self.chain, self.settings, lambda: self.time)

    def owe(self, number: int, amount: int = 100) -> str:
        """Job `number` (made and funded when it is new) owes for another piece of work; its id."""
        spec, job_id = _spec(number), self.fund(number)
        with self.db.write() as s:
            add_debt(s, job_id, spec, number, amount, self.time)
        return job_id

    def fund(self, number: int) -> str:
        """Put a job into the escrow, if it isn't there; its id."""
        job_id = "0x" + f"{number:064x}"
        if job_id not in self.funded:
            self.funded.add(job_id)
            assert self.chain.fund(_spec(number), number) == job_id
        return job_id

    def step(self, times: int = 1, seconds: float = 20.0) -> None:
        """Let time pass for the coordinator and the chain, and the settler do what it can."""
        for _ in range(times):
            self.time += seconds
            self.chain.time += int(seconds)
            self.settler.step()

    def settle(self) -> None:
        """Let everything come to rest."""
        for _ in range(12):
            self.chain.mine(self.settings.depth(self.chain.chain_id()) + 1)
            self.step(seconds=400)
            if not {*self.states()} & {"waiting", "settling"} and not {*self.epochs().values()} & {"open", "proposed"}:
                return

    def dues(self, job_id: str | None = None) -> list[DueRow]:
        """The dues of a job, or of all."""
        with self.db.read() as s:
            rows = list(s.scalars(select(DueRow).order_by(DueRow.id)))
        return [row for row in rows if job_id in (None, row.job_id)]

    def states(self, job_id: str | None = None) -> list[str]:
        """The states of a job's dues, or of all."""
        return [due.state for due in self.dues(job_id)]

    def epochs(self) -> dict[int, str]:
        """Number -> state."""
        with self.db.read() as s:
            return {row.epoch: row.state for row in s.scalars(select(EpochRow).order_by(EpochRow.epoch))}

    def lines(self, number: int) -> list[str]:
        """The states of an epoch's lines."""
        with self.db.read() as s:
            return list(s.scalars(select(LineRow.state).where(LineRow.epoch == number).order_by(LineRow.line)))

    def jobs_in(self, number: int) -> list[str]:
        """The jobs of an epoch on chain."""
        return [job.job_id for job in self.chain.state.contents[number].jobs]

    def check_nothing_doubled(self) -> None:
        """No due is in two lines that stand on chain, and no escrow gave more than its job owes."""
        counted = Counter(
            job.report_digest
            for number, epoch in self.chain.epochs.items()
            for line, job in enumerate(self.chain.state.contents[number].jobs)
            if epoch.status(line) in LIVE
        )
        assert set(counted.values()) <= {1}, counted
        owed: dict[str, int] = defaultdict(int)
        for due in self.dues():
            owed[due.job_id] += due.amount
        for job_id, account in self.chain.jobs.items():
            assert account.paid + account.reserved <= owed[job_id]

    def check_all_settled(self) -> None:
        """Everything that can be paid is, once, by a line whose rewards come to what was earned."""
        self.check_nothing_doubled()
        earned: dict[str, int] = defaultdict(int)
        for due in self.dues():
            assert due.state in ("settled", "unpayable", "held"), (due.id, due.state, due.error, self.epochs())
            if due.state != "settled":
                continue
            assert due.epoch is not None
            digests = [job.report_digest for job in self.chain.state.contents[due.epoch].jobs]
            line = digests.index(due.digest)
            assert self.chain.epochs[due.epoch].status(line) is LineStatus.FINALISED
            assert sum(row.amount for row in JobEpoch.parse(due.part).rewards) == due.amount
            earned[due.job_id] += due.amount
        for job_id, account in self.chain.jobs.items():
            assert account.paid == earned[job_id]

    @contextmanager
    def dying(self, at: int) -> Iterator[Callable[[], int]]:
        """The process dies at the step with this number: a question to the chain, a transaction's sending or its
        answer, or a write to the database. Gives the number of steps so far."""
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1
            if steps == at:
                raise Killed

        chain, db = self.settler._chain, self.settler._db
        mortal = _Mortal(chain, count), _MortalDatabase(db, count)
        self.settler = Settler(mortal[1], mortal[0], self.settings, lambda: self.time)  # type: ignore[arg-type]
        yield lambda: steps
        self.restart()


class _Mortal:
    """Every call is a step before it has an effect, and another one after."""

    def __init__(self, inner: Any, count: Callable[[], None]) -> None:
        self._inner, self._count = inner, count

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        if name in ("chain_id", "account"):  # known without asking
            return method

        def call(*args: Any) -> Any:
            self._count()
            result = method(*args)
            self._count()
            return result

        return call


class _MortalDatabase:
    def __init__(self, inner: Database, count: Callable[[], None]) -> None:
        self._inner, self._count = inner, count
        self.read = inner.read

    @contextmanager
    def write(self) -> Iterator[Session]:
        self._count()
        with self._inner.write() as s:
            yield s
        self._count()


@cache
def _empty() -> bytes:
    """A database with its tables and no rows."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/empty.db")
        Base.metadata.create_all(db.engine)
        db.close()
        return (Path(folder) / "empty.db").read_bytes()


def _spec(number: int) -> JobSpec:
    return job_spec(name=f"job {number}", prices=Prices(rollout_token=1), budget=1_000_000)


def add_debt(s: Session, job_id: str, spec: JobSpec, number: int, amount: int, now: float) -> None:
    """The job, made when it is new, has had one piece of work accepted, and it is closed."""
    job = s.get(JobRow, job_id)
    if job is None:
        with tempfile.TemporaryDirectory() as folder:
            job = add_job(s, BlobStore(Path(folder)), SubmitJob(job_id=job_id, spec=spec), _account(job_id, spec), now)
    count = len(s.scalars(select(TraceRow.number)).all())
    digest = "0x" + hashlib.sha256(f"{job_id} {count}".encode()).hexdigest()
    s.add(_trace(job_id, digest, count))
    s.add(_contribution(job_id, f"lease {count}", token_of(spec), number, amount, digest))
    assert close_due(s, job, now) is not None


def _account(job_id: str, spec: JobSpec) -> JobState:
    """The job's escrow as it was when the job was taken in."""
    return JobState(
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


def _trace(job_id: str, digest: str, count: int) -> TraceRow:
    return TraceRow(
        job_id=job_id,
        digest=digest,
        lease_id=f"lease {count}",
        position=0,
        split="train",
        round=0,
        group=count,
        index=0,
        reward=0.0,
        parts={},
        tokens=1,
        finish_reason="stop",
        epoch=None,
        due_id=None,
    )


def _contribution(job_id: str, lease: str, token: str, owner: int, tokens: int, evidence: str) -> ContributionRow:
    return ContributionRow(
        lease_id=lease,
        job_id=job_id,
        kind="rollout",
        account=key(300 + owner % 3).address,
        worker=key(400 + owner).address,
        round=0,
        tokens=tokens,
        evidence=evidence,
        token=token,
        epoch=None,
        amount=None,
        due_id=None,
    )
