"""The worker's loop: ask for work, do it, hand it in. Whatever fails, the next turn starts clean."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from r1net.errors import ProtocolError, R1Error, Refused, SwarmError, Unreachable, UsageError
from r1net.protocol.gradients import GradientCommitment
from r1net.protocol.job import JobView, PolicyVersion
from r1net.protocol.work import (
    AttemptOutcome,
    Capability,
    Lease,
    PublishTask,
    RecomputeTask,
    RolloutTask,
    TrainTask,
    VerifyTask,
    WorkRequest,
)
from r1net.system import in_words
from r1node.attempt import Step, train
from r1node.events import Events
from r1node.jobs import Host, JobRuntime
from r1node.journal import note_metrics
from r1node.lease import LeaseKeeper, LeaseLost
from r1node.pace import Pace
from r1node.quarantine import Quarantine
from r1node.reaching import Reaching
from r1node.rest import LOOK, Rest
from r1node.session import Session
from r1node.store import NoRoom
from r1node.swarm.allreduce import AveragingService
from r1node.swarm.daemon import Swarm
from r1node.tasks import prove, roll_out, upload
from r1node.terms import Terms, Unfit
from r1node.verification.recompute import recompute
from r1node.verification.voting import replay, seal

log = logging.getLogger(__name__)

RETRY = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries while the coordinator is away; the last repeats."""

OUTCOME_WAIT = 10.0
CHECK_WAIT = 1.0
"""Seconds between looks for work on others' gradients, while the attempt waits for it."""

T = TypeVar("T")


class Stopped(BaseException):
    """Breaks a blocking request for work when a signal asks the worker to stop, and a task when a second one does."""


@dataclass
class Agent:
    """One worker at work. `stop` ends it after the task in hand."""

    session: Session
    swarm: Swarm
    averaging: AveragingService
    folder: Path
    host: Host
    terms: Terms
    events: Events
    reaching: Reaching
    rest: Rest
    capabilities: tuple[Capability, ...] = ("rollout", "train", "verify")
    stop: threading.Event = field(default_factory=threading.Event)
    jobs: dict[str, JobRuntime] = field(default_factory=dict)
    avoided: Quarantine = field(default_factory=Quarantine)
    pace: Pace = field(default_factory=Pace)
    _asking: bool = False
    _idle_since: float = field(default_factory=time.monotonic)
    _waited: float = 0.0
    _rests: bool = False

    def run(self) -> None:
        """Work until stopped."""
        with suppress(Stopped):
            while not self.stop.is_set():
                if self._resting():
                    continue
                lease = self._ask()
                if lease is not None:
                    self._waited = time.monotonic() - self._idle_since
                    with self.pace.task(type(lease.task).__name__):
                        self._do(lease)
                    self._idle_since = time.monotonic()

    def request_stop(self) -> None:
        """End after the task in hand; at once while waiting for one. To be called on the main thread by a signal."""
        self.stop.set()
        if self._asking:
            raise Stopped

    def stop_now(self) -> None:
        """Give the task in hand back, and end. To be called on the main thread by a signal."""
        self.stop.set()
        if self._asking or self.pace.busy:
            raise Stopped

    def _resting(self) -> bool:
        """Whether the worker rests, which it does for a moment. Then it holds no memory, and nobody waits for it."""
        why = self.rest.reason()
        if (why is not None) != self._rests:
            self._rests = why is not None
            self.events.note("resting" if self._rests else "working", why or "again")
            if self._rests:
                self._make_room()
        if self._rests:
            self.stop.wait(LOOK)
        return self._rests

    def _make_room(self) -> None:
        for job in self.jobs.values():
            job.rest_engine()
        self._forget_jobs()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            self.session.leave()
        except (Unreachable, Refused, ProtocolError) as error:
            self.events.note("resting", f"could not tell the coordinator: {error.message}; it will notice")

    def _forget_jobs(self) -> None:
        self.jobs.clear()
        self.host.store.release()

    def _ask(self) -> Lease | None:
        holds = {job_id: job.at.number for job_id, job in self.jobs.items() if job.at is not None}
        request = WorkRequest(
            capabilities=self.capabilities,
            holds=holds,
            floors=dict(self.terms.floors),
            without=self.avoided.jobs(),
        )
        try:
            self._asking = True
            self.session.renew_if_due()
            self.reaching.announce()
            answer = self.session.work(request)
        except Stopped:
            return None
        except (Unreachable, Refused, ProtocolError) as error:
            self.events.note("waiting", f"{error.message}; trying again")
            self._asking = False
            self.stop.wait(RETRY[-1] if isinstance(error, Refused) else RETRY[1])
            return None
        finally:
            self._asking = False
        self.reaching.heard(answer.reach)
        if answer.lease is None:
            self.events.idle(answer.reason or "no work")
        return answer.lease

    def _do(self, lease: Lease) -> None:
        with LeaseKeeper(self.session, lease) as keeper:
            try:
                self._dispatch(lease, keeper)
            except Stopped:
                self._give_back(lease, "stopped", "its host was stopped")
                raise
            except LeaseLost as lost:
                self.events.note("lost", lost.message)
            except SwarmError as error:
                self._give_back(lease, "averaging_broken", str(error))
            except FloatingPointError as error:
                self._give_back(lease, "nan_gradient", str(error))
            except Refused as refusal:
                self._give_back(lease, refusal.code, refusal.message)
            except (Unfit, NoRoom) as error:
                self._leave_job(lease, error.code, error.message)
            except UsageError as error:
                self._leave_job(lease, "job_fault", str(error))
            except R1Error as error:
                self._give_back(lease, error.code, str(error))
            except OSError as error:  # a full disk, a folder that was taken away: this host's trouble, and it may pass
                fault = in_words(error)
                self._leave_job(lease, fault.code, str(fault))
            except (MemoryError, torch.OutOfMemoryError) as error:
                self._leave_job(lease, "out_of_memory", f"{error}; smaller models need less")
            except Exception as error:  # a job, a peer or a library met what nobody foresaw: it ends this task alone
                log.exception("lease %s", lease.id)
                self._leave_job(lease, "internal", f"{type(error).__name__}: {error}")
            else:
                self.avoided.forgive(lease.job_id)

    def _leave_job(self, lease: Lease, code: str, detail: str) -> None:
        """Give a task back, and stay away from its job for a while: longer each time."""
        self._forget_jobs()
        seconds = self.avoided.add(lease.job_id)
        self._give_back(lease, code, f"{detail}; no work of this job for {seconds:g} s")

    def _dispatch(self, lease: Lease, keeper: LeaseKeeper) -> None:
        job = self._job(lease.job_id)
        match lease.task:
            case RolloutTask() as task:
                self._roll_out(job, task, keeper)
            case TrainTask() as task:
                self._train(job, task, keeper)
            case PublishTask() as task:
                self._publish(job, task, keeper)
            case VerifyTask() | RecomputeTask() as task:
                self._verify(job, task, keeper)

    def _roll_out(self, job: JobRuntime, task: RolloutTask, keeper: LeaseKeeper) -> None:
        self.events.note(
            "rollout", f"{task.split} round {task.round}: {len(task.groups)} groups, version {task.version.number}"
        )
        bundle, metrics = roll_out(job, task, keeper)
        metrics["seconds/waiting"] = self._waited
        receipt = self._persist(keeper, lambda: self.session.submit_rollout(bundle, metrics))
        note_metrics(self.folder, keeper.lease, task, receipt.tokens, metrics)
        self.events.receipt(receipt, metrics)

    def _train(self, job: JobRuntime, task: TrainTask, keeper: LeaseKeeper) -> None:
        self.events.note("train", f"round {task.round}, attempt {task.attempt}, {len(task.slots)} trainers")
        try:
            step = train(job, task, keeper, self.swarm, self.averaging, partial(self._commit, job, task, keeper))
            report = step.report
            report.metrics["seconds/waiting"] = self._waited
        except (SwarmError, LeaseLost, FloatingPointError):
            job.at = task.version if job.at == task.version else None
            raise
        try:
            self._persist(keeper, lambda: self.session.report_training(report))
            note_metrics(self.folder, keeper.lease, task, report.trained_tokens, report.metrics)
            outcome = self._outcome(job, task, step, keeper)
        except (Refused, LeaseLost):
            job.settle(report.version, None)
            raise
        job.settle(report.version, outcome)
        self.events.trained(task, report, outcome == report.version)

    def _look(
        self, job: JobRuntime, task: TrainTask, keeper: LeaseKeeper, known: int, wait: float = OUTCOME_WAIT
    ) -> AttemptOutcome:
        """How the attempt stands; held by the coordinator while there is no more news than is known."""
        ask = partial(self.session.outcome, job.job_id, task.round, task.attempt, wait, known)
        return self._persist(keeper, ask)

    def _commit(
        self, job: JobRuntime, task: TrainTask, keeper: LeaseKeeper, commitment: GradientCommitment
    ) -> Sequence[GradientCommitment]:
        """Commit to the own gradient, and wait until all slots have."""
        self._persist(keeper, lambda: self.session.commit_gradient(commitment))
        while True:
            outcome = self._look(job, task, keeper, 0)
            keeper.check()
            if outcome.state != "pending":
                raise SwarmError(f"the attempt is {outcome.state}: {outcome.reason}")
            if outcome.commitments:
                return outcome.commitments

    def _outcome(self, job: JobRuntime, task: TrainTask, step: Step, keeper: LeaseKeeper) -> PolicyVersion | None:
        """Wait for what becomes of the attempt. Whoever is named publishes meanwhile what it has made, and all answer
        for their gradients once the seed is drawn."""
        seen: set[str] = set()
        worker, known, stated = keeper.lease.worker, 1, False
        while True:
            outcome = self._look(job, task, keeper, known, CHECK_WAIT if stated else OUTCOME_WAIT)
            if outcome.state != "pending":
                return outcome.version if outcome.state == "agreed" else None
            if outcome.seed is not None and not stated:
                statement = step.statement(job.job_id, task, worker, outcome.seed)
                self._persist(keeper, lambda made=statement: self.session.state_gradient(made))  # type: ignore[misc]
                stated = True
            for order in outcome.publish:
                if order.worker == worker and order.lease_id not in seen:
                    publish = PublishTask(version=step.report.version, salt=order.salt)
                    self._obey(job, order.lease_id, publish, keeper.lease)
            seen.update(order.lease_id for order in outcome.publish)
            known = outcome.news
            if stated:
                self._lend_a_hand(job)

    def _lend_a_hand(self, job: JobRuntime) -> None:
        """The attempt may wait for a vote on another's gradient, and whoever could give it trains: give it."""
        try:
            lease = self.session.work(WorkRequest(capabilities=("verify",), only=job.job_id, wait=0)).lease
        except (Unreachable, Refused, ProtocolError) as error:
            self.events.note("waiting", f"{error.message}; trying again")
            return
        if lease is not None and isinstance(lease.task, VerifyTask | RecomputeTask):
            self._do(lease)

    def _obey(self, job: JobRuntime, lease_id: str, task: PublishTask, lease: Lease) -> None:
        """Publish while the attempt waits for it. When that fails, the attempt's outcome says what follows."""
        publishing = lease.model_copy(update={"id": lease_id, "task": task})
        with LeaseKeeper(self.session, publishing) as keeper:
            try:
                self._publish(job, task, keeper)
            except LeaseLost as lost:
                self.events.note("lost", lost.message)
            except (Refused, OSError) as error:
                self._give_back(publishing, "not_published", str(error))

    def _publish(self, job: JobRuntime, task: PublishTask, keeper: LeaseKeeper) -> None:
        salt, lease_id = task.salt, keeper.lease.id
        if salt is not None:
            self._persist(keeper, lambda: self.session.prove_possession(lease_id, prove(job, task, salt)))
            self.events.note("proved", f"to hold version {task.version.number}")
            return
        self._persist(keeper, lambda: upload(job, task))
        self._persist(keeper, lambda: self.session.report_published(lease_id))
        self.events.note("published", f"version {task.version.number}")

    def _verify(self, job: JobRuntime, task: VerifyTask | RecomputeTask, keeper: LeaseKeeper) -> None:
        started = time.monotonic()
        if isinstance(task, RecomputeTask):
            self.events.note("verify", f"round {task.round}: the gradient of {task.worker}")
            job.rest_engine()
            vote = recompute(job, task, keeper.lease.id, keeper.check)
        else:
            self.events.note("verify", f"{task.split} round {task.round}: {len(task.positions)} completions")
            vote = replay(job, task, keeper.lease.id)
        metrics = {"verify/seconds": time.monotonic() - started, "seconds/waiting": self._waited}
        commitment, salt = seal(vote)
        self._persist(keeper, lambda: self.session.commit_vote(commitment))
        self._persist(keeper, lambda: self.session.reveal_vote(vote, salt))
        note_metrics(self.folder, keeper.lease, task, vote.finding.tokens, metrics)
        self.events.note("voted", "; ".join(vote.finding.faults) or "nothing speaks against the work")

    def _job(self, job_id: str) -> JobRuntime:
        if job_id not in self.jobs or self.terms.due(job_id):
            view = self.session.transport.get(f"/v1/jobs/{job_id}", JobView)
            self.terms.check(view)
        if job_id not in self.jobs:
            self.events.note("job", f"{view.spec.name}: loading {view.spec.model.name}")
            self._forget_jobs()  # one job's model in memory at a time
            self.jobs[job_id] = JobRuntime.open(view, self.session.transport, self.folder, self.host)
        return self.jobs[job_id]

    def _persist(self, keeper: LeaseKeeper, call: Callable[[], T]) -> T:
        """Repeat an idempotent call while the coordinator is away and the lease is ours."""
        tries = 0
        while True:
            try:
                return call()
            except Unreachable as error:
                self.events.note("waiting", f"{error.message}; trying again")
            keeper.check()
            if self.stop.is_set():
                raise LeaseLost("stopped while the coordinator was away")
            time.sleep(RETRY[min(tries, len(RETRY) - 1)])
            tries += 1

    def _give_back(self, lease: Lease, code: str, detail: str) -> None:
        self.events.note("failed", f"{code}: {detail}")
        try:
            self.session.report_failure(lease.id, code, detail)
        except (Unreachable, Refused) as error:
            log.warning("could not give the lease back: %s; it will expire", error)
