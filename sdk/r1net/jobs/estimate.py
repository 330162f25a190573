"""What a job will come to, before anything is paid: tokens, price, time, and what the model will learn from."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from r1net.amounts import about
from r1net.jobs.compose import Composed
from r1net.jobs.prices import Tokens, most_tokens
from r1net.jobs.signal import Signal, words
from r1net.protocol.job import JobSpec, JobView
from r1net.protocol.views import NodeView, RoundPage
from r1net.transport import Transport

_JOBS = 5
_ROUNDS = 20
"""The latest jobs, and so many of their last rounds, tell how fast the network is."""


@dataclass(frozen=True)
class Estimate:
    """`cost` in words. `most_tokens` and `most_cost` (wei) are what the job comes to when every completion is as long
    as it may be; `likely_tokens` and `likely_cost` when they are as long as the sample's. `hours` at the network's
    present speed; None where it has done nothing lately. `advice` says in words what will not work, and why."""

    job: str
    cost: str
    budget: int
    most_tokens: int
    most_cost: int
    likely_tokens: int | None
    likely_cost: int | None
    hosts: int
    hours: float | None
    data: dict[str, list[str]]
    signal: Signal | None
    advice: list[str] = field(default_factory=list)


def estimate(composed: Composed, transport: Transport, signal: Signal | None, r1: bool = True) -> Estimate:
    """The estimate of a job. `signal`: what a sample of its model's own completions showed, where one was taken; `r1`:
    whether it is paid in R1."""
    spec = composed.spec
    most = most_tokens(spec.stage, spec.sampling, spec.evaluation, spec.verification)
    share = None if signal is None else min(1.0, signal.mean_length / spec.sampling.max_tokens)
    likely = None if share is None else most.scaled(share)
    speed, hosts = _speed(transport), _hosts(transport)
    tokens = likely or most
    return Estimate(
        job=spec.name,
        cost=_cost(spec, most, likely, r1),
        budget=spec.budget,
        most_tokens=most.whole,
        most_cost=most.cost(spec.prices),
        likely_tokens=None if likely is None else likely.whole,
        likely_cost=None if likely is None else likely.cost(spec.prices),
        hosts=hosts,
        hours=None if speed is None else round(seconds_at(speed, tokens) / 3600, 2),
        data={label: list(report.lines()) for label, report in composed.reports.items()},
        signal=signal,
        advice=[*_advice(spec, most, hosts, r1), *([] if signal is None else words(signal))],
    )


def _cost(spec: JobSpec, most: Tokens, likely: Tokens | None, r1: bool) -> str:
    usual = "" if likely is None else f"likely {about(likely.cost(spec.prices), r1)}, "
    return f"{usual}at most {about(min(most.cost(spec.prices), spec.budget), r1)} of {about(spec.budget, r1)}"


@dataclass(frozen=True)
class Speed:
    """Tokens per second of the whole network, sampled and trained on."""

    rollout: float
    train: float


def seconds_at(speed: Speed, tokens: Tokens) -> float:
    """How long so many tokens take: one phase of a round after the other."""
    return tokens.sampled / speed.rollout + tokens.trained / speed.train


def speed_of(pages: Iterable[RoundPage]) -> Speed | None:
    """The median over the last rounds that say."""
    rounds = [record.metrics for page in pages for record in page.rounds[-_ROUNDS:]]
    names = ("rollout/tokens_per_second", "train/tokens_per_second")
    found = [[metrics[name] for metrics in rounds if metrics.get(name, 0) > 0] for name in names]
    if not all(found):
        return None
    rollout, train = map(statistics.median, found)
    return Speed(rollout, train)


def _speed(transport: Transport) -> Speed | None:
    views = transport.get_many("/v1/jobs", JobView)[-_JOBS:]
    return speed_of(
        transport.get(f"/v1/jobs/{view.job_id}/rounds", RoundPage, after=max(-1, view.round - _ROUNDS), wait=0)
        for view in views
    )


def _hosts(transport: Transport) -> int:
    return sum(node.state == "active" for node in transport.get_many("/v1/nodes", NodeView))


def _advice(spec: JobSpec, most: Tokens, hosts: int, r1: bool) -> Iterable[str]:
    cost = most.cost(spec.prices)
    if cost > spec.budget:
        words = f"{about(cost, r1)}: what is not spent comes back"
        yield f"the budget of {about(spec.budget, r1)} may not last: at its longest the job costs {words}"
    if not any((spec.prices.rollout_token, spec.prices.trained_token)):
        yield "it pays nothing: no host will work on it"
    if not hosts:
        yield "no host is there now"
