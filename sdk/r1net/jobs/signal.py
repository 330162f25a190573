"""The signal: what a model's own completions on a job's problems say of what it can learn from them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from r1net.protocol.canonical import Message
from r1net.rewards import solved
from r1net.shaping import deviation, has_spread

FEW = 0.1
"""A share of groups below which most of what is paid teaches nothing."""
CUT = 0.5


class Signal(Message):
    """A sample of `groups` groups of `completions` completions. `pass_rate`: the share that the verifier gives full
    marks; `unsolved`, `solved`: groups in which none, all do. `spread`: groups whose rewards differ, the only ones that
    teach. `deviation`: the mean of the groups' standard deviations. `truncated`: completions cut off at the longest
    length; `mean_length` in tokens. `gold`, `empty`: what the reference answer and an empty answer earn, where they can
    be told. `tokens_per_second` of whoever sampled."""

    groups: int = Field(ge=1)
    completions: int = Field(ge=1)
    pass_rate: float | None
    unsolved: float | None
    solved: float | None
    reward: float | None
    deviation: float
    spread: float
    truncated: float
    mean_length: float
    gold: float | None
    empty: float | None
    tokens_per_second: float


@dataclass(frozen=True)
class Sampled:
    """A completion of a sample: its reward, and the parts of that; how many tokens were sampled; whether it was cut off
    at the longest length."""

    reward: float | None
    parts: Mapping[str, float | None]
    tokens: int
    truncated: bool


def signal_of(
    groups: Sequence[Sequence[Sampled]], tokens_per_second: float, gold: float | None = None, empty: float | None = None
) -> Signal:
    """What a sample's groups show, of which there is at least one."""
    rewards = [[one.reward for one in group] for group in groups]
    judged = [[full for one in group if (full := solved(one.parts)) is not None] for group in groups]
    known = [group for group in judged if group]
    whole = [one for group in groups for one in group]
    return Signal(
        groups=len(groups),
        completions=len(whole),
        pass_rate=mean([float(full) for group in known for full in group]),
        unsolved=mean([float(not any(group)) for group in known]),
        solved=mean([float(all(group)) for group in known]),
        reward=mean([one.reward for one in whole if one.reward is not None]),
        deviation=statistics.fmean(deviation(group) for group in rewards),
        spread=statistics.fmean(has_spread(group) for group in rewards),
        truncated=statistics.fmean(one.truncated for one in whole),
        mean_length=statistics.fmean(one.tokens for one in whole),
        gold=gold,
        empty=empty,
        tokens_per_second=tokens_per_second,
    )


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return statistics.fmean(values) if values else None


def words(signal: Signal) -> Iterator[str]:
    """What will not learn, and why. Nothing where all looks well."""
    if signal.reward is None:
        yield "no completion has a reward: the rewards do not apply to these problems"
        return
    if signal.spread < FEW:
        yield _flat(signal)
    elif signal.solved is not None and signal.solved > CUT:
        yield f"{signal.solved:.0%} of groups solve everything already: take harder rows, or skip these"
    elif signal.unsolved is not None and signal.unsolved > CUT:
        yield f"{signal.unsolved:.0%} of groups solve nothing: learning will be slow; easier rows or SFT first help"
    if signal.truncated > CUT:
        yield f"{signal.truncated:.0%} of completions are cut off at the longest length: raise sampling.max_tokens"
    if signal.gold is not None and signal.empty is not None and signal.gold <= signal.empty:
        both = f"the reference answer earns {signal.gold:g}, an empty one {signal.empty:g}"
        yield f"{both}: the rewards don't tell them apart"


def _flat(signal: Signal) -> str:
    if signal.unsolved is not None and signal.unsolved > 1 - FEW:
        return f"{signal.unsolved:.0%} of groups solve nothing: start with SFT or easier rows"
    if signal.solved is not None and signal.solved > 1 - FEW:
        return f"{signal.solved:.0%} of groups solve everything: there is nothing left to learn; take harder rows"
    return f"only {signal.spread:.0%} of groups have completions that earn differently: nothing else teaches"
