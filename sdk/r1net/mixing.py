"""A curriculum, recomputed: what the published traces make of every round's weights, and what the coordinator says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from r1net.environments import Weights
from r1net.environments.curriculum import WHOLE, Measured, Share, shares, weights_of
from r1net.environments.places import leaf_of
from r1net.protocol.job import JobSpec
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.trace import Trace
from r1net.shaping import has_spread, shaped_reward


@dataclass(frozen=True)
class MixedRound:
    """A round's `weights` as the traces of the rounds before it make them, from the groups in `shares`, part by part;
    `published` are the coordinator's, None where it says none."""

    round: int
    weights: Weights
    published: Weights | None
    shares: tuple[Share, ...]

    @property
    def holds(self) -> bool:
        """Whether the coordinator drew with the weights that its traces make."""
        return self.weights == self.published


@dataclass(frozen=True)
class MixReport:
    """All rounds that have opened. `parts` are the names of the mix's environments."""

    parts: tuple[str, ...]
    rounds: tuple[MixedRound, ...]

    @property
    def first_wrong(self) -> int | None:
        """The first round whose weights don't follow from what was admitted; None if all do."""
        return next((one.round for one in self.rounds if not one.holds), None)


def recompute(spec: JobSpec, published: Mapping[int, Weights | None], traces: Iterable[Trace]) -> MixReport:
    """The weights of the rounds up to the last that is `published`, from a job's training traces in any order."""
    environment = spec.environment
    assert environment.curriculum is not None, "only mixes with a curriculum have weights to recompute"
    teaches = _teaching(spec, traces)
    measured: dict[int, list[Measured]] = defaultdict(list)
    rounds: list[MixedRound] = []
    for round_ in range(min(max(published, default=-1) + 1, spec.stage.rounds)):
        window = range(max(0, round_ - environment.curriculum.rounds), round_)
        found = shares(environment, round_, (group for past in window for group in measured[past]))
        weights = weights_of(environment, found)
        rounds.append(MixedRound(round_, weights, published.get(round_), found))
        for group, teaching in teaches.get(round_, {}).items():
            part = leaf_of(spec, "train", round_, group, lambda number: rounds[number].weights)
            measured[round_].append(Measured(round_, part, teaching))
    return MixReport(tuple(leaf.name for leaf in environment.leaves), tuple(rounds))


def percentages(environment: EnvironmentSpec, weights: Weights) -> Iterator[str]:
    """Weights in words, part by part."""
    for leaf, weight in zip(environment.leaves, weights, strict=True):
        yield f"{leaf.name.partition(':')[2]} {100 * weight / WHOLE:.1f} %"


def _teaching(spec: JobSpec, traces: Iterable[Trace]) -> dict[int, dict[int, bool]]:
    """Whether the rewards of each group differ, by round and number."""
    rewards: dict[tuple[int, int], set[float | None]] = defaultdict(set)
    for trace in traces:
        found = rewards[trace.round, trace.group]
        if not has_spread(found):
            found.add(shaped_reward(spec, trace.reward, len(trace.completion_ids)))
    groups: dict[int, dict[int, bool]] = defaultdict(dict)
    for (round_, group), values in rewards.items():
        groups[round_][group] = has_spread(values)
    return groups
