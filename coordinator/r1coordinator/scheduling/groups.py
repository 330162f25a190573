"""The groups of a round, from the rows: which are out, which are here, and what is trained on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.model import BundleState
from r1coordinator.scheduling.rollout import Demand, Pool, assignment
from r1coordinator.store.tables import BundleRow, LeaseRow, TraceRow
from r1net.protocol.job import JobSpec
from r1net.shaping import deviation, shaped_reward


@dataclass(frozen=True)
class RoundWork:
    """What a round is trained on. `groups` is None when all of its groups count; `bundles` hold only what counts."""

    groups: tuple[int, ...] | None
    bundles: tuple[BundleState, ...]
    sequences: int
    reward_std: float

    @property
    def tokens(self) -> int:
        """Completion tokens."""
        return sum(bundle.tokens for bundle in self.bundles)


def pool(s: Session, job_id: str, demand: Demand) -> Pool:
    """The groups of a rollout phase."""
    leases = s.execute(
        select(LeaseRow.state, LeaseRow.groups).where(
            LeaseRow.job_id == job_id,
            LeaseRow.kind == "rollout",
            LeaseRow.split == demand.split,
            LeaseRow.round == demand.round,
            LeaseRow.state.in_(("active", "done")),
        )
    ).all()
    groups: dict[str, set[int]] = defaultdict(set)
    for state, leased in leases:
        groups[state].update(leased)
    done = frozenset(groups["done"])
    counting = _with_spread(s, job_id, demand) if demand.selective else done
    return Pool(demand, active=frozenset(groups["active"]), done=done, counting=counting)


def _with_spread(s: Session, job_id: str, demand: Demand) -> frozenset[int]:
    rows = s.scalars(
        select(BundleRow.spread).where(
            BundleRow.job_id == job_id,
            BundleRow.split == demand.split,
            BundleRow.round == demand.round,
            BundleRow.counts,
        )
    )
    return frozenset(group for groups in rows for group in groups)


def round_work(s: Session, spec: JobSpec, job_id: str, round_: int) -> RoundWork:
    """What is trained on after a finished rollout phase: the same for every attempt."""
    demand = assignment(spec, "rollout", round_)
    groups = pool(s, job_id, demand).chosen if demand.selective else None
    rows = s.execute(
        select(TraceRow.lease_id, TraceRow.group, TraceRow.reward, TraceRow.tokens).where(
            TraceRow.job_id == job_id, TraceRow.split == "train", TraceRow.round == round_
        )
    )
    chosen = frozenset(groups or ())
    counted = [row for row in rows if groups is None or row.group in chosen]
    tokens: dict[str, int] = defaultdict(int)
    for lease_id, _, _, length in counted:
        tokens[lease_id] += length
    bundles = s.scalars(select(BundleRow).where(BundleRow.lease_id.in_(tokens)).order_by(BundleRow.sha256))
    return RoundWork(
        groups=groups,
        bundles=tuple(BundleState(row.sha256, row.worker, tokens[row.lease_id]) for row in bundles),
        sequences=len(counted),
        reward_std=deviation(shaped_reward(spec, reward, length) for _, _, reward, length in counted),
    )
