"""From replays to a verdict, with the figures and the limits that it rests on.

Two kinds of limit. One token that honest work never brings convicts its trace. Small differences convict only in their
mean, over enough tokens of one worker: that is how weights that were rounded or disturbed show.

Measured on SmolLM2-135M, bf16 sampler against the float32 reference (tests/adversarial/node prints the present ones):
honest work of 24,000 tokens at temperature 1: LIMITS_HERE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1net.protocol.evidence import Finding
from r1node.verification.replay import Replay

FAR_DELTA = 1.0
"""Nats by which one claimed log-probability may be off."""

FAR_MISS = 0.2
"""Probability by which one token may lie away from what its seed draws."""

NEAR_MISS = 0.05
"""A token counts as drawn by its seed when its miss is no larger."""

LEAST_DRAWN = 0.98
"""Share of a worker's tokens that their seeds must draw."""

MOST_MEAN_DELTA = 0.05
"""Mean |Δ| in nats over a worker's tokens."""

FEWEST_TOKENS = 300
"""Tokens from which on the two means are judged."""


@dataclass(frozen=True)
class TraceVerdict:
    """One trace's figures. `fault` says in words what honest work never shows; None if there is nothing."""

    trace_digest: str
    tokens: int
    mean_abs_delta: float
    max_abs_delta: float
    largest_miss: float
    fault: str | None


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
    delta, miss = max(map(abs, replay.deltas)), max(replay.misses)
    faults = []
    if delta > FAR_DELTA:
        faults.append(f"a log-probability is {delta:.2f} nats off")
    if miss > FAR_MISS:
        faults.append(f"a token lies {miss:.2f} away from what its seed draws")
    return TraceVerdict(
        trace_digest=replay.trace.digest(),
        tokens=len(replay.deltas),
        mean_abs_delta=_mean([abs(value) for value in replay.deltas]),
        max_abs_delta=delta,
        largest_miss=miss,
        fault="; ".join(faults) or None,
    )


def judge_work(replays: Sequence[Replay]) -> WorkVerdict:
    """Traces of one worker, at least one: each by itself, and all in the mean."""
    verdicts = [judge_trace(replay) for replay in replays]
    deltas = [value for replay in replays for value in replay.deltas]
    misses = [value for replay in replays for value in replay.misses]
    mean, drawn = _mean([abs(value) for value in deltas]), _mean([float(miss <= NEAR_MISS) for miss in misses])
    bad = [verdict for verdict in verdicts if verdict.fault]
    faults = [f"{len(bad)} of {len(verdicts)} traces: {bad[0].fault}"] if bad else []
    if len(deltas) >= FEWEST_TOKENS and mean > MOST_MEAN_DELTA:
        faults.append(f"log-probabilities are {mean:.3f} nats off in the mean")
    if len(deltas) >= FEWEST_TOKENS and drawn < LEAST_DRAWN:
        faults.append(f"only {drawn:.1%} of the tokens are drawn by their seeds")
    finding = Finding(
        worker=replays[0].trace.worker,
        traces=len(replays),
        tokens=len(deltas),
        mean_abs_delta=mean,
        mean_delta=_mean(deltas),
        max_abs_delta=max(verdict.max_abs_delta for verdict in verdicts),
        drawn=drawn,
        faults=tuple(faults),
    )
    worst = max(verdicts, key=lambda verdict: max(verdict.max_abs_delta / FAR_DELTA, verdict.largest_miss / FAR_MISS))
    return WorkVerdict(finding, tuple(verdict.trace_digest for verdict in bad), worst.trace_digest)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
