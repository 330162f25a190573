"""From replays to a verdict, with the figures and the limits that it rests on.

One token that honest work never brings convicts its trace. Small differences convict only in their mean, over enough
tokens of one worker, and held against a control: plain bf16 arithmetic on the same tokens and seeds. That is how
weights that were rounded or disturbed show. Differences of log-probabilities are divided by the token's spread, so
that sure and unsure tokens count alike.

Measured on CPU, bf16 sampler, float32 reference (`make slow` measures anew). Noise over that of the control:

    honest, SmolLM2-135M in 15 versions of a run of 24 rounds, 300 to 650 tokens each: 0.70 to 1.65, while the noise
        itself lay between 0.05 and 0.10; the farthest token 0.95 spreads off
    honest, a Llama of 1.5M parameters: 1.05
    weights in int8, SmolLM2: 1.7; with 1 % noise: 2.3; on the small Llama 1.0 and 1.2

Draws of the rule gumbel/1 on SmolLM2, 32 completions of 96 tokens at temperature 1: the share of tokens that differ
from what the float32 reference draws, and the mean miss in nats; the control's are 1/40 to 1/70 and 0.0010 to 0.0016:

    honest in float32: 1 of 3,072, 0.00000       in bf16: 1/61, 0.0006, the farthest 0.24 (the control's 0.40)
    weights in int8: 1/28, 0.0042                with 1 % noise: 1/18, 0.0075        in int4: 1/3, 0.54
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from r1net.protocol.evidence import Finding
from r1net.protocol.job import Verification
from r1node.rollout.sampler import LEAST_SPREAD
from r1node.verification.replay import Replay

FAR_DELTA = 2.0
"""Largest |Δ| in nats over spread of one token. Honest work came to 0.95."""

FAR_MISS = 1.0
"""Nats by which one token may lose to what its seed draws. Honest work came to 0.24, the control to 0.40."""

FAR_FACTOR = 3.0
"""How many times as far as the farthest token of the control one token may lie, where that is more than the above: on
models whose logits are large, plain bf16 arithmetic comes to several spreads."""

NEAR_MISS = 0.1
"""A token counts as drawn by its seed when its miss is no larger."""

NOISE_FACTOR = Verification().noise
NOISE_SCATTER = 15.0
"""A worker may show 1.4 + 15 / √tokens times the control's noise (sum of |Δ| over sum of spreads), or what the job says
for 1.4: few tokens of a sure policy carry most of the sum, so that honest ratios scatter. 2.0 for 600 tokens, 1.6 for
5,600."""

LEAST_NOISE = 0.02
"""Noise that is nobody's fault: very small models show less, and other kernels may show more than the control."""

MISS_FACTOR, MISS_SCATTER = 2.0, 0.04
"""A worker's mean miss may be 2 times the control's and 0.04 / √tokens nats besides: misses are rare, and scatter."""

LEAST_MISS = 0.0002
"""Nats in the mean that are nobody's fault: on very small models rounding moves draws less than kernels differ."""

FEWEST_TOKENS = 200
"""Tokens from which on the two means are judged: fewer scatter too much."""


@dataclass(frozen=True)
class TraceVerdict:
    """One trace's farthest token, by log-probability and by draw. `fault` says in words what honest work never shows;
    None if there is nothing."""

    trace_digest: str
    tokens: int
    deviation: float
    miss: float
    fault: str | None
    foul: bool = False

    @property
    def severity(self) -> float:
        """1 at the limit of usual models; without end where a tool's answers aren't its own: no rounding does it."""
        return math.inf if self.foul else max(self.deviation / FAR_DELTA, self.miss / FAR_MISS)


@dataclass(frozen=True)
class WorkVerdict:
    """What traces of one worker came to, which of them are bad by themselves, and which deviates most. `severity`: the
    largest of all figures over its limit."""

    finding: Finding
    bad_traces: tuple[str, ...]
    worst: str
    severity: float

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the work."""
        return not self.finding.faults


@dataclass(frozen=True)
class Reach:
    """How far one token may lie off, in spreads and in nats lost."""

    deviation: float = FAR_DELTA
    miss: float = FAR_MISS

    def severity(self, verdict: TraceVerdict) -> float:
        """1 at the limit."""
        return max(verdict.deviation / self.deviation, verdict.miss / self.miss)

    @classmethod
    def of(cls, replays: Sequence[Replay]) -> Reach:
        """What the control allows on these tokens."""
        usual = max(max(_deviations(replay.usual_deltas, replay.spreads)) for replay in replays)
        missed = max(max(replay.usual_misses) for replay in replays)
        return cls(max(FAR_DELTA, FAR_FACTOR * usual), max(FAR_MISS, FAR_FACTOR * missed))


def noise_limit(tokens: int, usual: float, factor: float) -> float:
    """The noise that so many tokens may show, where the control's is `usual`; any, where they are too few."""
    if tokens < FEWEST_TOKENS:
        return math.inf
    return max(LEAST_NOISE, (factor + NOISE_SCATTER / math.sqrt(tokens)) * usual)


@dataclass(frozen=True)
class Means:
    """The two means over what they may be; 0 where there are too few tokens to say."""

    noise: float = 0.0
    miss: float = 0.0

    @classmethod
    def of(cls, finding: Finding, factor: float) -> Means:
        """Judged by the control that ran beside."""
        if finding.tokens < FEWEST_TOKENS:
            return cls()
        scatter = 1 / math.sqrt(finding.tokens)
        noise = noise_limit(finding.tokens, finding.usual_noise, factor)
        miss = LEAST_MISS + MISS_SCATTER * scatter + MISS_FACTOR * finding.usual_miss
        return cls(finding.noise / noise, finding.mean_miss / miss)


def judge_trace(replay: Replay, reach: Reach = Reach()) -> TraceVerdict:
    """One trace by itself."""
    deviations = _deviations(replay.deltas, replay.spreads)
    deviation, miss = max(deviations), max(replay.misses)
    faults = [replay.foul] if replay.foul else []
    if deviation > reach.deviation:
        delta = replay.deltas[deviations.index(deviation)]
        faults.append(f"a log-probability is {abs(delta):.2f} nats off, {deviation:.1f} times the token's spread")
    if miss > reach.miss:
        faults.append(f"a token loses {miss:.1f} nats to what its seed draws")
    words, foul = "; ".join(faults) or None, replay.foul is not None
    return TraceVerdict(replay.trace.digest(), len(replay.deltas), deviation, miss, words, foul)


def _deviations(deltas: Sequence[float], spreads: Sequence[float]) -> list[float]:
    """In spreads of the tokens."""
    return [abs(delta) / (spread + LEAST_SPREAD) for delta, spread in zip(deltas, spreads, strict=True)]


def judge_work(replays: Sequence[Replay], noise: float = NOISE_FACTOR) -> WorkVerdict:
    """Traces of one worker, at least one: each by itself, and all together. `noise`: the job's `Verification.noise`."""
    reach = Reach.of(replays)
    verdicts = [judge_trace(replay, reach) for replay in replays]
    deltas = [value for replay in replays for value in replay.deltas]
    misses = [value for replay in replays for value in replay.misses]
    spread = sum(value + LEAST_SPREAD for replay in replays for value in replay.spreads)
    total = sum(map(abs, deltas))
    bad = sorted((verdict for verdict in verdicts if verdict.fault), key=lambda verdict: -verdict.severity)
    finding = Finding(
        worker=replays[0].trace.worker,
        traces=len(replays),
        tokens=len(deltas),
        mean_abs_delta=total / len(deltas),
        mean_delta=sum(deltas) / len(deltas),
        max_abs_delta=max(map(abs, deltas)),
        noise=total / spread,
        drawn=sum(miss <= NEAR_MISS for miss in misses) / len(misses),
        mean_miss=sum(misses) / len(misses),
        usual_noise=sum(abs(value) for replay in replays for value in replay.usual_deltas) / spread,
        usual_miss=sum(value for replay in replays for value in replay.usual_misses) / len(misses),
    )
    means = Means.of(finding, noise)
    worst = max(verdicts, key=lambda verdict: verdict.severity)
    return WorkVerdict(
        finding.model_copy(update={"faults": tuple(_faults(finding, bad, means))}),
        tuple(verdict.trace_digest for verdict in bad),
        worst.trace_digest,
        max(means.noise, means.miss, *(reach.severity(verdict) for verdict in verdicts)),
    )


def _faults(finding: Finding, bad: Sequence[TraceVerdict], means: Means) -> Iterator[str]:
    if bad:
        yield f"{len(bad)} of {finding.traces} traces: {bad[0].fault}"
    if means.noise > 1:
        times = finding.noise / max(finding.usual_noise, 1e-9)
        yield f"log-probabilities are off {times:.1f} times as much as by honest rounding"
    if means.miss > 1:
        yield f"tokens lose {finding.mean_miss:.4f} nats in the mean to what their seeds draw"
