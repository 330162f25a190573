"""A worker's part in an attempt to train a round: from its gradient to the version that all agree on, and its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from r1net.errors import ProtocolError, Refused, SwarmError, Unreachable
from r1net.protocol.gradients import GradientCommitment
from r1net.protocol.job import PolicyVersion
from r1net.protocol.work import (
    AttemptOutcome,
    Lease,
    PublishTask,
    RecomputeTask,
    TrainTask,
    VerifyTask,
    WorkRequest,
)
from r1node.attempt import Step, train
from r1node.errands import Errands
from r1node.jobs import JobRuntime
from r1node.journal import note_metrics
from r1node.lease import LeaseKeeper, LeaseLost
from r1node.swarm.allreduce import AveragingService
from r1node.swarm.daemon import Swarm
from r1node.tasks import prove, upload

OUTCOME_WAIT = 10.0
CHECK_WAIT = 1.0
"""Seconds between looks for work on others' gradients, while the attempt waits for it."""

Do = Callable[[Lease], None]


@dataclass
class Trainee:
    """Trains for one worker, whose journal is in `folder`."""

    errands: Errands
    swarm: Swarm
    averaging: AveragingService
    folder: Path

    def train(self, job: JobRuntime, task: TrainTask, keeper: LeaseKeeper, waited: float, do: Do) -> None:
        """Make a gradient, average it, step, and see what becomes of the step. `waited`: seconds without work before;
        `do` does a check of somebody else's in between."""
        self.errands.events.note("train", f"round {task.round}, attempt {task.attempt}, {len(task.slots)} trainers")
        try:
            step = train(job, task, keeper, self.swarm, self.averaging, partial(self._commit, job, task, keeper))
            report = step.report
            report.metrics["seconds/waiting"] = waited
        except (SwarmError, LeaseLost, FloatingPointError):
            job.at = task.version if job.at == task.version else None
            raise
        try:
            self.errands.persist(keeper, lambda: self.errands.session.report_training(report))
            note_metrics(self.folder, keeper.lease, task, report.trained_tokens, report.metrics)
            outcome = self._outcome(job, task, step, keeper, do)
        except (Refused, LeaseLost):
            job.settle(report.version, None)
            raise
        job.settle(report.version, outcome)
        self.errands.events.trained(task, report, outcome == report.version)

    def _look(
        self, job: JobRuntime, task: TrainTask, keeper: LeaseKeeper, known: int, wait: float = OUTCOME_WAIT
    ) -> AttemptOutcome:
        """How the attempt stands; held by the coordinator while there is no more news than is known."""
        ask = partial(self.errands.session.outcome, job.job_id, task.round, task.attempt, wait, known)
        return self.errands.persist(keeper, ask)

    def _commit(
        self, job: JobRuntime, task: TrainTask, keeper: LeaseKeeper, commitment: GradientCommitment
    ) -> Sequence[GradientCommitment]:
        """Commit to the own gradient, and wait until all slots have."""
        self.errands.persist(keeper, lambda: self.errands.session.commit_gradient(commitment))
        while True:
            outcome = self._look(job, task, keeper, 0)
            keeper.check()
            if outcome.state != "pending":
                raise SwarmError(f"the attempt is {outcome.state}: {outcome.reason}")
            if outcome.commitments:
                return outcome.commitments

    def _outcome(
        self, job: JobRuntime, task: TrainTask, step: Step, keeper: LeaseKeeper, do: Do
    ) -> PolicyVersion | None:
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
                self.errands.persist(keeper, lambda made=statement: self.errands.session.state_gradient(made))  # type: ignore[misc]
                stated = True
            for order in outcome.publish:
                if order.worker == worker and order.lease_id not in seen:
                    publish = PublishTask(version=step.report.version, salt=order.salt)
                    self._obey(job, order.lease_id, publish, keeper.lease)
            seen.update(order.lease_id for order in outcome.publish)
            known = outcome.news
            if stated:
                self._lend_a_hand(job, do)

    def _lend_a_hand(self, job: JobRuntime, do: Do) -> None:
        """The attempt may wait for a vote on another's gradient, and whoever could give it trains: give it."""
        try:
            lease = self.errands.session.work(WorkRequest(capabilities=("verify",), only=job.job_id, wait=0)).lease
        except (Unreachable, Refused, ProtocolError) as error:
            self.errands.events.note("waiting", f"{error.message}; trying again")
            return
        if lease is not None and isinstance(lease.task, VerifyTask | RecomputeTask):
            do(lease)

    def _obey(self, job: JobRuntime, lease_id: str, task: PublishTask, lease: Lease) -> None:
        """Publish while the attempt waits for it. When that fails, the attempt's outcome says what follows."""
        publishing = lease.model_copy(update={"id": lease_id, "task": task})
        with LeaseKeeper(self.errands.session, publishing) as keeper:
            try:
                self.publish(job, task, keeper)
            except LeaseLost as lost:
                self.errands.events.note("lost", lost.message)
            except (Refused, OSError) as error:
                self.errands.give_back(publishing, "not_published", str(error))

    def publish(self, job: JobRuntime, task: PublishTask, keeper: LeaseKeeper) -> None:
        """Bring a version's files to the coordinator, or prove that they are here."""
        salt, lease_id = task.salt, keeper.lease.id
        if salt is not None:
            self.errands.persist(
                keeper, lambda: self.errands.session.prove_possession(lease_id, prove(job, task, salt))
            )
            self.errands.events.note("proved", f"to hold version {task.version.number}")
            return
        self.errands.persist(keeper, lambda: upload(job, task))
        self.errands.persist(keeper, lambda: self.errands.session.report_published(lease_id))
        self.errands.events.note("published", f"version {task.version.number}")
