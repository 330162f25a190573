"""Which environment, and which of its rows, a group is drawn from: pure functions of the job, without its data."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from r1net.environments.curriculum import Mix, mix_of
from r1net.environments.shuffle import shuffled
from r1net.errors import UsageError
from r1net.protocol.job import JobSpec
from r1net.protocol.problems import EnvironmentSpec, Shard
from r1net.protocol.seeds import derive_seed
from r1net.protocol.trace import Split


class RowPlace(NamedTuple):
    """A row of a job: the number of its environment among the job's leaves, its split, its number there."""

    leaf: int
    split: Split
    number: int


def shards_of(spec: EnvironmentSpec, split: Split) -> tuple[Shard, ...]:
    """A data set's shards of a split."""
    assert spec.data is not None, "only rows have shards"
    return spec.data.train if split == "train" else spec.data.heldout


def count(spec: EnvironmentSpec, split: Split) -> int:
    """How many rows a data set has."""
    return sum(shard.rows for shard in shards_of(spec, split))


def leaf_of(spec: JobSpec, split: Split, round_: int, group: int, mix: Mix | None = None) -> int:
    """The number of the environment that a group is drawn from. In training each is drawn by its weight, which `mix`
    brings of jobs with a curriculum; what is held out is shared out by the weights, the first environment's problems
    first."""
    weights = spec.environment.weights
    if len(weights) == 1:
        return 0
    if split == "heldout":
        return bisect_right(list(accumulate(heldout_counts(spec))), group)
    whole = mix_of(spec.environment, split, round_, mix)
    if whole is not None:
        point = derive_seed(spec.seed, "mix", round_, group, bits=53) * sum(whole) >> 53
        return bisect_right(list(accumulate(whole)), point)
    sums = list(accumulate(weights))
    at = derive_seed(spec.seed, "mix", round_, group, bits=53) / 2**53 * sums[-1]
    return min(bisect_right(sums, at), len(weights) - 1)


def row_of(spec: JobSpec, split: Split, round_: int, group: int, mix: Mix | None = None) -> RowPlace | None:
    """The row that a group is about; None where its environment makes its problems itself."""
    return row_in(spec, leaf_of(spec, split, round_, group, mix), split, round_, group)


def row_in(spec: JobSpec, leaf: int, split: Split, round_: int, group: int) -> RowPlace | None:
    """The row that a group is about when it is drawn from the environment with this number.

    Training goes through all rows, in another order each time, before one comes again (in a mix: about as often).
    """
    environment = spec.environment.leaves[leaf]
    if environment.data is None:
        return None
    rows = count(environment, split)
    if split == "heldout":
        place = group - sum(heldout_counts(spec)[:leaf])
        return RowPlace(leaf, split, shuffled(place, rows, derive_seed(spec.seed, "heldout", leaf)))
    stage = spec.stage
    place = round_ * stage.groups_per_round * stage.dynamic_sampling + group
    again, position = divmod(place, rows)
    return RowPlace(leaf, split, shuffled(position, rows, derive_seed(spec.seed, "rows", leaf, again)))


def heldout_counts(spec: JobSpec) -> tuple[int, ...]:
    """How many held-out problems each environment has. Raises UsageError where there aren't enough rows."""
    return _shared(spec.environment, spec.evaluation.problems)


@lru_cache(maxsize=64)
def _share_out(weights: tuple[float, ...], most: tuple[int, ...], wanted: int) -> tuple[int, ...] | None:
    """`wanted` by the weights, nobody above their most: by the largest remainder, and again where some are full."""
    given = [0] * len(weights)
    left = wanted
    while left:
        open_ = [n for n in range(len(weights)) if given[n] < most[n]]
        if not open_:
            return None
        whole = math.fsum(weights[n] for n in open_)
        exact = {n: left * weights[n] / whole for n in open_}
        share = {n: min(int(exact[n]), most[n] - given[n]) for n in open_}
        if not any(share.values()):
            share[max(open_, key=lambda n: (exact[n], -n))] = 1
        for n, more in share.items():
            given[n] += more
        left -= sum(share.values())
    return tuple(given)


def _shared(environment: EnvironmentSpec, wanted: int) -> tuple[int, ...]:
    most = tuple(wanted if leaf.data is None else count(leaf, "heldout") for leaf in environment.leaves)
    found = _share_out(environment.weights, most, wanted)
    if found is None:
        raise UsageError(
            f"{wanted} held-out problems are asked for, but {environment.name} has {sum(most)} held-out rows",
            hint="hold more rows out, or ask for fewer: evaluation=Evaluation(problems=…)",
        )
    return found
