"""The signal: what a model's own completions on a job's problems say of what it can learn from them."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from r1net.protocol.canonical import Message

FEW = 0.1
"""A share of groups below which most of what is paid teaches nothing."""
CUT = 0.5


class Signal(Message):
    """A sample of `groups` groups of `completions` completions. `pass_rate`: the share that the verifier gives full
    marks; `unsolved`, `solved`: groups in which none, all do. `spread`: groups whose rewards differ, the only ones that
    teach. `deviation`: the mean of the groups' standard deviations. `truncated`: completions cut off at the longest
    length; `mean_length` in tokens. `gold`, `empty`: what the reference answer and an empty answer earn, where they can
    be told. `tokens_per_second` of the machine that sampled."""

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
