"""A job of several turns learns: a model that may ask a calculator comes to ask it."""

from __future__ import annotations

import pytest

from r1net import R1, Client, Dataset, Evaluation, Optimizer, Sampling
from tests.e2e.demo.calculating import TOOL, calculating_model, rows
from tests.e2e.harness.chain import ROOT

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]


def test_a_model_learns_to_ask_the_calculator(client: Client) -> None:
    run = client.train(
        model=calculating_model(ROOT / "build" / "models" / "calculating"),
        dataset=Dataset(rows(), heldout=96, name="products"),
        prompt="{question}\n",
        tool=TOOL,
        turns=2,
        rounds=20,
        groups_per_round=16,
        group_size=8,
        sampling=Sampling(max_tokens=20),
        optimizer=Optimizer(learning_rate=4e-4, warmup_rounds=2),
        evaluation=Evaluation(problems=96, sampling=Sampling(max_tokens=20)),
        budget=50 * R1,
    )
    for step in run.follow():
        print(step.round, {name: round(step.metrics[name], 3) for name in ("reward", "reward_std")}, flush=True)
    first, last = run.evaluations()
    print(f"held-out: {first.accuracy:.3f} [{first.low:.3f}, {first.high:.3f}] -> {last.accuracy:.3f} [{last.low:.3f}]")
    assert first.high < last.low
    traces = [view.trace for view in run.traces("heldout")]
    asked = {version: [bool(trace.given) for trace in traces if trace.round == version] for version in (0, 20)}
    assert sum(asked[20]) > sum(asked[0])
    assert sum(trace.tokens for trace in traces) < sum(len(trace.completion_ids) for trace in traces)
