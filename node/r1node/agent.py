"""The worker's loop: ask for work, do it, hand it in. Whatever fails, the next turn starts clean."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from r1net.errors import ProtocolError, R1Error, Refused, SwarmError, Unreachable, UsageError
from r1net.protocol.job import JobView
from r1net.protocol.work import (
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
from r1node.errands import RETRY, Errands
from r1node.jobs import Host, JobRuntime
from r1node.journal import note_metrics
from r1node.lease import LeaseKeeper, LeaseLost
from r1node.pace import Pace
from r1node.quarantine import Quarantine
from r1node.reaching import Reaching
from r1node.rest import LOOK, Rest
from r1node.store import NoRoom
from r1node.tasks import roll_out
from r1node.terms import Terms, Unfit
from r1node.trainee import Trainee
from r1node.verification.recompute import recompute
from r1node.verification.voting import replay, seal

log = logging.getLogger(__name__)


class Stopped(BaseException):
    """Breaks a blocking request for work when a signal asks the worker to stop, and a task when a second one does."""


@dataclass
class Agent:
    """One worker at work, until the errands' `stop` is set."""

    errands: Errands
    trainee: Trainee
    folder: Path
    host: Host
    terms: Terms
    reaching: Reaching
    rest: Rest
    capabilities: tuple[Capability, ...] = ("rollout", "train", "verify")
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
            while not self.errands.stop.is_set():
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
        self.errands.stop.set()
        if self._asking:
            raise Stopped

    def stop_now(self) -> None:
        """Give the task in hand back, and end. To be called on the main thread by a signal."""
        self.errands.stop.set()
        if self._asking or self.pace.busy:
            raise Stopped

    def _resting(self) -> bool:
        """Whether the worker rests, which it does for a moment. Then it holds no memory, and nobody waits for it."""
        why = self.rest.reason()
        if (why is not None) != self._rests:
            self._rests = why is not None
            self.errands.events.note("resting" if self._rests else "working", why or "again")
            if self._rests:
                self._make_room()
        if self._rests:
            self.errands.stop.wait(LOOK)
        return self._rests

    def _make_room(self) -> None:
        for job in self.jobs.values():
            job.rest_engine()
        self._forget_jobs()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            self.errands.session.leave()
        except (Unreachable, Refused, ProtocolError) as error:
            self.errands.events.note("resting", f"could not tell the coordinator: {error.message}; it will notice")

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
            self.errands.session.renew_if_due()
            self.reaching.announce()
            answer = self.errands.session.work(request)
        except Stopped:
            return None
        except (Unreachable, Refused, ProtocolError) as error:
            self.errands.events.note("waiting", f"{error.message}; trying again")
            self._asking = False
            self.errands.stop.wait(RETRY[-1] if isinstance(error, Refused) else RETRY[1])
            return None
        finally:
            self._asking = False
        self.reaching.heard(answer.reach)
        if answer.lease is None:
            self.errands.events.idle(answer.reason or "no work")
        return answer.lease

    def _do(self, lease: Lease) -> None:
        with LeaseKeeper(self.errands.session, lease) as keeper:
            try:
                self.errands.persist(keeper, lambda: self._dispatch(lease, keeper))
            except Stopped:
                self.errands.give_back(lease, "stopped", "its host was stopped")
                raise
            except LeaseLost as lost:
                self.errands.events.note("lost", lost.message)
            except SwarmError as error:
                self.errands.give_back(lease, "averaging_broken", str(error))
            except FloatingPointError as error:
                self.errands.give_back(lease, "nan_gradient", str(error))
            except Refused as refusal:
                self.errands.give_back(lease, refusal.code, refusal.message)
            except (Unfit, NoRoom) as error:
                self._leave_job(lease, error.code, error.message)
            except UsageError as error:
                self._leave_job(lease, "job_fault", str(error))
            except R1Error as error:
                self.errands.give_back(lease, error.code, str(error))
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
        self.errands.give_back(lease, code, f"{detail}; no work of this job for {seconds:g} s")

    def _dispatch(self, lease: Lease, keeper: LeaseKeeper) -> None:
        """Do a task. May be repeated when a download breaks off: what is handed in is insisted on where it is."""
        job = self._job(lease.job_id)
        match lease.task:
            case RolloutTask() as task:
                self._roll_out(job, task, keeper)
            case TrainTask() as task:
                self.trainee.train(job, task, keeper, self._waited, self._do)
            case PublishTask() as task:
                self.trainee.publish(job, task, keeper)
            case VerifyTask() | RecomputeTask() as task:
                self._verify(job, task, keeper)

    def _roll_out(self, job: JobRuntime, task: RolloutTask, keeper: LeaseKeeper) -> None:
        self.errands.events.note(
            "rollout", f"{task.split} round {task.round}: {len(task.groups)} groups, version {task.version.number}"
        )
        bundle, metrics = roll_out(job, task, keeper)
        metrics["seconds/waiting"] = self._waited
        receipt = self.errands.persist(keeper, lambda: self.errands.session.submit_rollout(bundle, metrics))
        note_metrics(self.folder, keeper.lease, task, receipt.tokens, metrics)
        self.errands.events.receipt(receipt, metrics)

    def _verify(self, job: JobRuntime, task: VerifyTask | RecomputeTask, keeper: LeaseKeeper) -> None:
        started = time.monotonic()
        if isinstance(task, RecomputeTask):
            self.errands.events.note("verify", f"round {task.round}: the gradient of {task.worker}")
            job.rest_engine()
            vote = recompute(job, task, keeper.lease.id, keeper.check)
        else:
            self.errands.events.note("verify", f"{task.split} round {task.round}: {len(task.positions)} completions")
            vote = replay(job, task, keeper.lease.id)
        metrics = {"verify/seconds": time.monotonic() - started, "seconds/waiting": self._waited}
        commitment, salt = seal(vote)
        self.errands.persist(keeper, lambda: self.errands.session.commit_vote(commitment))
        self.errands.persist(keeper, lambda: self.errands.session.reveal_vote(vote, salt))
        note_metrics(self.folder, keeper.lease, task, vote.finding.tokens, metrics)
        self.errands.events.note("voted", "; ".join(vote.finding.faults) or "nothing speaks against the work")

    def _job(self, job_id: str) -> JobRuntime:
        if job_id not in self.jobs or self.terms.due(job_id):
            view = self.errands.session.transport.get(f"/v1/jobs/{job_id}", JobView)
            self.terms.check(view)
        if job_id not in self.jobs:
            self.errands.events.note("job", f"{view.spec.name}: loading {view.spec.model.name}")
            self._forget_jobs()  # one job's model in memory at a time
            self.jobs[job_id] = JobRuntime.open(view, self.errands.session.transport, self.folder, self.host)
        return self.jobs[job_id]
