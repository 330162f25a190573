"""The weights of a curriculum's rounds: fixed when a round opens, from what was admitted in those before it."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.store.database import Database
from r1coordinator.store.rows import get_job
from r1coordinator.store.tables import BundleRow, JobRow, LeaseRow, MixRow
from r1net.environments import Weights
from r1net.environments.curriculum import Measured, shares, weights_of
from r1net.environments.places import leaf_of
from r1net.errors import Refused
from r1net.protocol.job import JobSpec


def open_round(s: Session, job: JobRow, spec: JobSpec) -> None:
    """Fix the weights of the job's round, which opens in this transaction."""
    if spec.environment.curriculum is None:
        return
    first = job.round - spec.environment.curriculum.rounds
    found = weights_of(spec.environment, shares(spec.environment, job.round, _measured(s, job, spec, first)))
    s.add(MixRow(job_id=job.job_id, round=job.round, weights=list(found)))


def round_mix(s: Session, job_id: str, round_: int) -> Weights:
    """The weights of a round that has opened. Raises Refused."""
    row = s.get(MixRow, (job_id, round_))
    if row is None:
        get_job(s, job_id)
        raise Refused("no_mix", f"round {round_} has not opened, or the job has no curriculum", status=404)
    return tuple(row.weights)


def read_mix(db: Database, job_id: str, round_: int) -> Weights:
    """The same, in a transaction of its own."""
    with db.read() as s:
        return round_mix(s, job_id, round_)


def _measured(s: Session, job: JobRow, spec: JobSpec, first: int) -> Iterator[Measured]:
    """The admitted groups of the rounds from `first` on, before the job's own."""
    bundles = s.execute(
        select(BundleRow.round, LeaseRow.groups, BundleRow.spread)
        .join(LeaseRow, LeaseRow.lease_id == BundleRow.lease_id)
        .where(
            BundleRow.job_id == job.job_id,
            BundleRow.split == "train",
            BundleRow.round >= first,
            BundleRow.round < job.round,
            BundleRow.counts,
        )
    )
    for round_, groups, spread in bundles:
        for group in groups:
            part = leaf_of(spec, "train", round_, group, lambda number: round_mix(s, job.job_id, number))
            yield Measured(round_, part, group in spread)
