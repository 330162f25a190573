"""Publishing a version that a majority came to: orders as leases, proofs compared with what was uploaded."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.leases import end, give, live_workers
from r1coordinator.scheduling.model import Abandoned, Agreed, Pending, SlotState, Verdict
from r1coordinator.scheduling.publishers import Holder, Order, OrderState, step
from r1coordinator.scheduling.rates import model_bytes, publish_deadline
from r1coordinator.scheduling.standing import charge
from r1coordinator.scheduling.training import majority
from r1coordinator.store.blobs import BlobStore
from r1coordinator.store.rows import parse_spec
from r1coordinator.store.tables import AttemptRow, BlobRow, JobRow, LeaseRow
from r1net.protocol.job import JobSpec, PolicyVersion
from r1net.protocol.work import PublishTask

_SLACK = 1 << 20
_POLICY_GROWTH = 4
"""A version may be kept in a wider number format than the model's file."""
_OPTIMIZER_GROWTH = 12
"""Two moments and a master copy for each weight, in a wider format."""

_STATES: Mapping[str, OrderState] = {"active": "open", "reported": "kept", "done": "done"}


def begin(s: Session, ctx: Context, job: JobRow, attempt: AttemptRow, agreed: Agreed) -> None:
    """A majority came to a version: its files are expected."""
    attempt.state, attempt.policy, attempt.optimizer = "publishing", agreed.policy, agreed.optimizer
    _expect_files(s, ctx, job, parse_spec(job.spec), version(job, attempt))
    s.flush()


def publish_step(
    s: Session, ctx: Context, job: JobRow, attempt: AttemptRow, slots: Sequence[SlotState], now: float
) -> Verdict:
    """Name publishers, until the version can be had from two places (Agreed, with who is paid), or from nobody."""
    orders = publish_orders(s, attempt)
    liars = {row.worker for row in orders if row.state == "refused"}
    honest = [slot if slot.worker not in liars else _without_report(slot) for slot in slots]
    agreed = majority(honest)
    pair = (attempt.policy, attempt.optimizer)
    if agreed is None or (agreed.policy, agreed.optimizer) != pair:
        return Abandoned("the majority is gone: some of it did not hold what it reported", tuple(sorted(liars)))
    broken = {row.worker for row in orders if row.state not in _STATES}
    owners = {slot.worker: slot.owner for slot in slots}
    live = {worker.worker for worker in live_workers(s, ctx.settings, now)}
    holders = [Holder(worker, owners[worker], worker in live) for worker in agreed.workers]
    known = [Order(row.worker, _task(row).salt is not None, _STATES.get(row.state, "broken")) for row in orders]
    found = step(holders, known, f"{job.job_id}/{job.round}/{attempt.attempt}")
    if found.failed:
        return Abandoned("nobody who reported the version published it", tuple(sorted(broken)))
    if found.done:
        return Agreed(agreed.policy, agreed.optimizer, tuple(w for w in agreed.workers if w not in broken))
    deadline = publish_deadline(ctx, parse_spec(job.spec), now)
    if found.upload is not None:
        give(s, ctx, job, found.upload, PublishTask(version=version(job, attempt)), deadline, now)
    if found.proof is not None:
        task = PublishTask(version=version(job, attempt), salt="0x" + secrets.token_hex(32))
        give(s, ctx, job, found.proof, task, deadline, now)
    return Pending()


def version(job: JobRow, attempt: AttemptRow) -> PolicyVersion:
    """The version that the attempt's majority came to."""
    return PolicyVersion(number=job.round + 1, policy=attempt.policy or "", optimizer=attempt.optimizer)


def publish_orders(s: Session, attempt: AttemptRow) -> list[LeaseRow]:
    """The publish leases of an attempt, in the order in which they were given."""
    return list(
        s.scalars(
            select(LeaseRow)
            .where(
                LeaseRow.job_id == attempt.job_id,
                LeaseRow.kind == "publish",
                LeaseRow.round == attempt.round,
                LeaseRow.attempt == attempt.attempt,
            )
            .order_by(LeaseRow.issued_at, LeaseRow.lease_id)
        )
    )


@dataclass(frozen=True)
class Evidence:
    """What the store's files hash to with the salts of an attempt's orders; None where a file isn't here."""

    by_salt: Mapping[str, Mapping[str, str]] | None


def look(s: Session, lease: LeaseRow) -> tuple[list[str], list[str]]:
    """The files and the salts to be hashed before a proof can be judged: slow work, for outside of transactions."""
    attempt = s.get_one(AttemptRow, (lease.job_id, lease.round, lease.attempt))
    salts = [task.salt for task in map(_task, publish_orders(s, attempt)) if task.salt is not None]
    return files(_task(lease).version), salts


def gather(blobs: BlobStore, names: Sequence[str], salts: Sequence[str]) -> Evidence:
    """Hash the files with every salt."""
    if not all(blobs.has(name) for name in names):
        return Evidence(None)
    return Evidence({salt: {name: blobs.salted(name, salt) for name in names} for salt in salts})


def judge(s: Session, lease: LeaseRow, evidence: Evidence, now: float) -> None:
    """Compare the proofs that were kept with the files, once these are here."""
    if evidence.by_salt is None:
        return
    attempt = s.get_one(AttemptRow, (lease.job_id, lease.round, lease.attempt))
    for row in publish_orders(s, attempt):
        salt = _task(row).salt
        if row.state != "reported" or salt is None or salt not in evidence.by_salt:
            continue
        if row.proof == dict(evidence.by_salt[salt]):
            end(row, "done", now)
        else:
            end(row, "refused", now, "the proof is not of the version's files", "false_possession")
            charge(s, row.worker, "false_possession", now)


def files(named: PolicyVersion) -> list[str]:
    """The files of a version."""
    return [name for name in (named.policy, named.optimizer) if name is not None]


def _task(row: LeaseRow) -> PublishTask:
    return PublishTask.parse(row.task)


def _without_report(slot: SlotState) -> SlotState:
    return SlotState(worker=slot.worker, owner=slot.owner, lost=True)


def _expect_files(s: Session, ctx: Context, job: JobRow, spec: JobSpec, named: PolicyVersion) -> None:
    weights = model_bytes(spec)
    expected = {"policy": (named.policy, _POLICY_GROWTH), "optimizer": (named.optimizer, _OPTIMIZER_GROWTH)}
    for kind, (digest, growth) in expected.items():
        if digest is None:
            continue
        s.merge(
            BlobRow(
                job_id=job.job_id,
                sha256=digest,
                kind=kind,
                version=named.number,
                limit=min(weights * growth + _SLACK, ctx.settings.max_blob_bytes),
                present=False,
            )
        )
