"""A submitter's own rows and own reward, with what it imports, teach SmolLM2 in the demo's time."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1net import R1, Dataset, Evaluation, Lora, Optimizer, Sampling
from r1net.environments.shuffle import shuffled
from tests.e2e.demo.smollm2 import smollm2
from tests.e2e.harness.chain import ROOT, compile_contracts
from tests.e2e.harness.network import Network, single_threaded

pytestmark = [pytest.mark.timeout(2400), pytest.mark.slow]

SUMS = [(a, b) for a in range(1, 100) for b in range(1, 100)]
CHOSEN = [SUMS[shuffled(position, len(SUMS), 3)] for position in range(3000)]


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Network]:
    """Two hosts on processors like this one."""
    single_threaded()
    compile_contracts()
    network = Network(tmp_path / "network")
    try:
        network.start_chain()
        network.start_coordinator()
        network.start_node("node1")
        network.start_node("node2")
        yield network
    finally:
        network.stop()


def test_own_rows_and_an_own_reward_teach_smollm2(plain: Network, tmp_path: Path) -> None:
    rows, reward = tmp_path / "rows.jsonl", tmp_path / "reward.py"
    lines = [{"question": f"What is {a} + {b}?", "answer": str(a + b)} for a, b in CHOSEN]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = (ROOT / "docs" / "your-data.md").read_text()
    reward.write_text(next(t for t in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if t.startswith("# reward")))
    began = time.monotonic()
    with plain.client(1000 * R1) as client:
        run = client.train(
            model=smollm2(ROOT / "build" / "models" / "smollm2"),
            dataset=Dataset(rows, heldout=256),
            reward=[("math", 1.0), (reward, 0.5)],
            prefill="The answer is",
            rounds=24,
            groups_per_round=32,
            group_size=8,
            sampling=Sampling(max_tokens=10),
            optimizer=Optimizer(learning_rate=5e-4),
            lora=Lora(rank=16, alpha=32),
            dtype="bfloat16",
            evaluation=Evaluation(problems=256, sampling=Sampling(temperature=0.0, max_tokens=10)),
            budget=1000 * R1,
        )
        for step in run.follow():
            figures = {name: round(value, 3) for name, value in step.metrics.items() if name.startswith("reward")}
            print(f"{time.monotonic() - began:.0f} s", step.round, figures, flush=True)
        first, last = run.evaluations()
    seconds, low, high = time.monotonic() - began, last.low, first.high
    print(f"{seconds:.0f} s: {first.accuracy:.3f} [to {high:.3f}] -> {last.accuracy:.3f} [from {low:.3f}]")
    assert high < low
