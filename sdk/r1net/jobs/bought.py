"""A sample of a job's completions, bought from the network: the job's first round; what it trains is thrown away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from r1net.errors import UsageError
from r1net.faults import in_words
from r1net.jobs.prices import most_tokens
from r1net.jobs.signal import Sampled, Signal, signal_of
from r1net.protocol.job import Grpo, JobSpec
from r1net.protocol.views import RoundRecord, TraceView

_SLACK = 2
"""Few submissions may all be drawn for checks; what is left of the budget is refunded."""


def sample_job(spec: JobSpec, groups: int) -> JobSpec:
    """A job that samples the first `groups` groups of another, at its prices and with its checks."""
    changes: dict[str, Any] = {"rounds": 1, "groups_per_round": groups, "dynamic_sampling": 1}
    try:
        stage = Grpo.model_validate(spec.stage.model_dump() | changes)
    except ValidationError as error:
        raise in_words(error, Grpo, "sample") from error
    evaluation = spec.evaluation.model_copy(update={"problems": 0})
    cost = most_tokens(stage, spec.sampling, evaluation, spec.verification).cost(spec.prices)
    if not cost:
        raise UsageError("a job that pays nothing buys no sample", hint="name a budget or prices, or sample here")
    changes = {"name": f"sample of {spec.name}"[:100], "stage": stage, "evaluation": evaluation}
    return JobSpec.model_validate(spec.model_dump() | changes | {"budget": cost * _SLACK, "epoch_rounds": 1})


def signal_of_round(traces: Iterable[TraceView], record: RoundRecord) -> Signal:
    """The signal of a round that the network has sampled, from its traces. What a reference answer earns is not among
    them."""
    groups: defaultdict[int, list[Sampled]] = defaultdict(list)
    for trace in (view.trace for view in traces):
        if (trace.split, trace.round) == ("train", record.round):
            cut = trace.finish_reason == "length"
            groups[trace.group].append(Sampled(trace.reward, trace.reward_parts, trace.tokens, cut))
    return signal_of(list(groups.values()), record.metrics.get("rollout/tokens_per_second", 0.0))
