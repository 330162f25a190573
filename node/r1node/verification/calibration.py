"""What honest work on a model looks like to its judge, and over how many tokens coarser weights are told from it.

Work is done with version 0 in every way that hosts have (engine and precision), and from weights rounded to eight and
four bits; all of it is replayed. Larger samples are resamples of whole traces (Efron 1979), since tokens of one trace
deviate together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r1net.environments import sampling_seed
from r1net.protocol.job import TIGHTEST, WIDEST, JobSpec
from r1net.protocol.trace import Split, Trace
from r1node.models.precision import has_fast_bf16
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Prompt, RolloutEngine
from r1node.rollout.sampler import LEAST_SPREAD
from r1node.rollout.transformers import TransformersEngine
from r1node.training.policy import TrainablePolicy
from r1node.verification.judge import noise_limit
from r1node.verification.replay import Replay, Replayer

SIZES = (100, 300, 1_000, 3_000, 10_000, 30_000)
"""Tokens of a sample."""

RESAMPLES = 400
SURE = 0.99
ROOM = 1.1
"""By so much more than the noisiest honest way the limit lies."""

Weights = Mapping[str, Tensor]
_NOBODY = "0x" + "00" * 20


@dataclass(frozen=True)
class Series:
    """Work done in one way, replayed: for each trace Σ|Δ|, Σ spread, Σ|Δ of the control| and the number of tokens."""

    way: str
    honest: bool
    rows: NDArray[np.float64]

    @property
    def ratio(self) -> float:
        """Its noise over the control's."""
        return float(self.rows[:, 0].sum() / max(self.rows[:, 2].sum(), 1e-12))

    def samples(self, tokens: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Samples of about so many tokens (RESAMPLES, 3): noise, the control's noise, tokens."""
        count = max(1, round(tokens / self.rows[:, 3].mean()))
        picks = rng.integers(0, len(self.rows), (RESAMPLES, count))
        sums = self.rows[picks].sum(1)
        return np.stack([sums[:, 0] / sums[:, 1], sums[:, 2] / sums[:, 1], sums[:, 3]], axis=1)

    def found(self, tokens: int, factor: float, rng: np.random.Generator) -> float:
        """The share of samples of so many tokens in which the judge objects to the noise."""
        drawn = self.samples(tokens, rng)
        return float(np.mean([noise > noise_limit(int(n), usual, factor) for noise, usual, n in drawn]))


@dataclass(frozen=True)
class Power:
    """How well one kind of coarse weights is told from honest work. `auc`: by sample size, the probability that it
    shows more noise than the noisiest honest way; `found`: the share that the judge objects to, at the factor that is
    proposed; `tokens`: the smallest sample in which that is 99 %, None if none of the sizes."""

    weights: str
    ratio: float
    auc: dict[int, float]
    found: dict[int, float]
    tokens: int | None


@dataclass(frozen=True)
class Calibration:
    """What a job of this model should say. `traces` completions of each drawn submission give the judge tokens enough
    to find eight-bit weights; None: they can't be told from honest rounding, and what they save is a host's to keep."""

    noise: float
    traces: int | None
    honest: dict[str, float]
    false_alarms: dict[int, float]
    coarse: list[Power]


def calibrate(spec: JobSpec, replayer: Replayer, policy: TrainablePolicy, groups: int) -> Calibration:
    """Do the work of so many groups in every way, and judge it."""
    weights = {name: tensor.clone() for name, tensor in policy.merged().items()}
    replayer.load()
    series = [
        Series(way, honest, _rows(replayer.replay(_traces(spec, replayer, engine, groups))))
        for way, honest, engine in _ways(policy, weights)
    ]
    return summary(series)


def summary(series: Sequence[Series]) -> Calibration:
    """From replayed work to what the job should say."""
    rng = np.random.default_rng(0)
    honest = [one for one in series if one.honest]
    worst = max(honest, key=lambda one: one.ratio)
    factor = round(min(WIDEST, max(TIGHTEST, ROOM * worst.ratio)), 2)
    coarse = [_power(one, worst, factor, rng) for one in series if not one.honest]
    needed = next(power.tokens for power in coarse if power.weights == EIGHT_BITS)
    length = float(np.mean([one.rows[:, 3].mean() for one in honest]))
    return Calibration(
        noise=factor,
        traces=None if needed is None else min(256, max(8, math.ceil(needed / length))),
        honest={one.way: round(one.ratio, 3) for one in honest},
        false_alarms={size: max(one.found(size, factor, rng) for one in honest) for size in SIZES},
        coarse=coarse,
    )


EIGHT_BITS = "8 bits"


def rounded(weights: Weights, bits: int) -> Weights:
    """Linear layers rounded to so many bits, a scale for each row."""
    made = dict(weights)
    largest = 2 ** (bits - 1) - 1
    for name, tensor in weights.items():
        if tensor.ndim == 2 and "embed" not in name:
            scale = tensor.abs().amax(1, keepdim=True).clamp_min(1e-12) / largest
            made[name] = ((tensor / scale).round() * scale).to(tensor.dtype)
    return made


def _ways(policy: TrainablePolicy, weights: Weights) -> Iterator[tuple[str, bool, RolloutEngine]]:
    """Engines, loaded."""
    precisions = [torch.float32, *([torch.bfloat16] if has_fast_bf16("cpu") else [])]
    for dtype in precisions:
        for name, engine in _engines(policy, dtype):
            engine.load(weights)
            yield f"{name} {str(dtype).removeprefix('torch.')}", True, engine
    for words, bits in ((EIGHT_BITS, 8), ("4 bits", 4)):
        name, engine = next(_engines(policy, precisions[-1]))
        engine.load(rounded(weights, bits))
        yield words, False, engine


def _engines(policy: TrainablePolicy, dtype: torch.dtype) -> Iterator[tuple[str, RolloutEngine]]:
    if policy.why_not_plain is None:
        yield "builtin", BuiltinEngine(policy.config, dtype)
    yield "transformers", TransformersEngine(policy.module, dtype)


def _traces(spec: JobSpec, replayer: Replayer, engine: RolloutEngine, groups: int) -> list[Trace]:
    places: list[tuple[Split, int, int]] = [("train", 0, group) for group in range(groups)]
    prompts = replayer.scorer.prompts(places)
    size = spec.stage.group_size
    seeds = [[sampling_seed(spec, "train", 0, group, index) for index in range(size)] for group in range(groups)]
    asked = [Prompt(list(prompt.ids), row) for prompt, row in zip(prompts, seeds, strict=True)]
    made = engine.generate(asked, spec.sampling, spec.stop_token_ids)
    engine.unload()
    return [
        Trace(
            job_id="0x" + "00" * 32,
            split="train",
            round=0,
            group=group,
            index=index,
            policy=spec.model.digest(),
            worker=_NOBODY,
            prompt_ids=tuple(prompts[group].ids),
            completion_ids=tuple(completion.token_ids),
            logprobs=tuple(completion.logprobs),
            reward_parts={},
            reward=0.0,
            finish_reason=completion.finish_reason,
            seed=seeds[group][index],
        )
        for group, members in enumerate(made)
        for index, completion in enumerate(members)
    ]


def _rows(replays: Sequence[Replay]) -> NDArray[np.float64]:
    return np.array(
        [
            (
                sum(map(abs, one.deltas)),
                sum(spread + LEAST_SPREAD for spread in one.spreads),
                sum(map(abs, one.usual_deltas)),
                len(one.deltas),
            )
            for one in replays
        ]
    )


def _power(one: Series, honest: Series, factor: float, rng: np.random.Generator) -> Power:
    found = {size: one.found(size, factor, rng) for size in SIZES}
    sure = [size for size in SIZES if found[size] >= SURE]
    return Power(
        weights=one.way,
        ratio=round(one.ratio, 3),
        auc={size: round(_auc(honest.samples(size, rng), one.samples(size, rng)), 4) for size in SIZES},
        found=found,
        tokens=sure[0] if sure else None,
    )


def _auc(honest: NDArray[np.float64], coarse: NDArray[np.float64]) -> float:
    """Mann and Whitney 1947: the probability that a coarse sample's ratio is the larger one."""
    a, b = (np.sort(drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12)) for drawn in (honest, coarse))
    return float(np.searchsorted(a, b, side="left").sum() / (len(a) * len(b)))
