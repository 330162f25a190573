"""From replays to a verdict, with the figures and the limits that it rests on.

One token that honest work never brings convicts its trace. Small differences convict only in their mean, over enough
tokens of one worker: that is how weights that were rounded or disturbed show. Differences of log-probabilities are
held against the token's spread, so that one limit serves sure and unsure tokens, early and late policies.

Measured on CPU, bf16 sampler against the float32 reference (`pytest -s tests/adversarial/node` prints today's):

                            SmolLM2-135M     1.5M-parameter Llama
    honest: noise               0.048             0.011
            mean miss           0.0005            0.00001
            farthest delta      0.4               0.13            of 9,600 and 6,200 tokens
            farthest miss       0.09              0.01
    weights with 1 % noise      0.121, 0.0025     0.012, 0.00001  noise and mean miss
    weights in int8             0.093, 0.0015     0.010, 0.00001

So on a model as small as the second one, weights that are a little off go unnoticed; they also matter little there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from r1net.protocol.evidence import Finding
from r1node.verification.replay import Replay

FAR_DELTA = 1.0
"""Largest |Δ| in nats over spread of one token. Honest work came to 0.4."""

LEAST_SPREAD = 0.05
"""Added to the spread: a token that the policy is sure of has a spread near 0, and rounding all the same."""

FAR_MISS = 0.2
"""Probability by which one token may lie away from what its seed draws. Honest work came to 0.09."""

NEAR_MISS = 0.05
"""A token counts as drawn by its seed when its miss is no larger."""

MOST_MISS = 0.0012
"""Mean miss of a worker's tokens. More than twice that of honest bf16 work."""

MOST_NOISE = 0.075
"""Sum of |Δ| over sum of spreads. Half as much again as honest bf16 work, below int8."""

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

    @property
    def severity(self) -> float:
        """1 at the limit."""
        return max(self.deviation / FAR_DELTA, self.miss / FAR_MISS)


@dataclass(frozen=True)
class WorkVerdict:
    """What traces of one worker came to, which of them are bad by themselves, and which deviates most."""

    finding: Finding
    bad_traces: tuple[str, ...]
    worst: str

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the work."""
        return not self.finding.faults


def judge_trace(replay: Replay) -> TraceVerdict:
    """One trace by itself."""
    deviations = [
        abs(delta) / (spread + LEAST_SPREAD) for delta, spread in zip(replay.deltas, replay.spreads, strict=True)
    ]
    deviation, miss = max(deviations), max(replay.misses)
    faults = []
    if deviation > FAR_DELTA:
        delta = replay.deltas[deviations.index(deviation)]
        faults.append(f"a log-probability is {abs(delta):.2f} nats off, {deviation:.1f} times the token's spread")
    if miss > FAR_MISS:
        faults.append(f"a token lies {miss:.2f} away from what its seed draws")
    return TraceVerdict(replay.trace.digest(), len(replay.deltas), deviation, miss, "; ".join(faults) or None)


def judge_work(replays: Sequence[Replay]) -> WorkVerdict:
    """Traces of one worker, at least one: each by itself, and all together."""
    verdicts = [judge_trace(replay) for replay in replays]
    deltas = [value for replay in replays for value in replay.deltas]
    spread = sum(value for replay in replays for value in replay.spreads)
    total = sum(map(abs, deltas))
    bad = sorted((verdict for verdict in verdicts if verdict.fault), key=lambda verdict: -verdict.severity)
    noise = total / (spread + LEAST_SPREAD * len(deltas))
    misses = [miss for replay in replays for miss in replay.misses]
    mean_miss = sum(misses) / len(misses)
    finding = Finding(
        worker=replays[0].trace.worker,
        traces=len(replays),
        tokens=len(deltas),
        mean_abs_delta=total / len(deltas),
        mean_delta=sum(deltas) / len(deltas),
        max_abs_delta=max(map(abs, deltas)),
        noise=noise,
        drawn=sum(miss <= NEAR_MISS for miss in misses) / len(misses),
        mean_miss=mean_miss,
        faults=tuple(_faults(len(verdicts), bad, len(deltas), noise, mean_miss)),
    )
    worst = max(verdicts, key=lambda verdict: verdict.severity)
    return WorkVerdict(finding, tuple(verdict.trace_digest for verdict in bad), worst.trace_digest)


def _faults(traces: int, bad: Sequence[TraceVerdict], tokens: int, noise: float, miss: float) -> Iterator[str]:
    if bad:
        yield f"{len(bad)} of {traces} traces: {bad[0].fault}"
    if tokens < FEWEST_TOKENS:
        return
    if noise > MOST_NOISE:
        yield f"log-probabilities are off as by noise of {noise:.3f} on every logit"
    if miss > MOST_MISS:
        yield f"tokens lie {miss:.4f} in the mean away from what their seeds draw"
