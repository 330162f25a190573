"""What checking costs beside the work that is checked: CPU seconds for each completion token, and the share of the
whole network's computing that it comes to at the default rates.

    python -m tests.benchmarks.cost --tokens 64
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch

from r1net.protocol.job import Sampling, Verification
from r1node.models.precision import has_fast_bf16
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Prompt
from r1node.training.sketch import sketch
from tests.adversarial.node.trainers import SEED, Round
from tests.adversarial.node.workshop import Workshop
from tests.e2e.demo.profiles import PROFILES

T = TypeVar("T")
NEVER = 3
"""A token that the model doesn't draw: completions have the same length."""

MODELS = Path(__file__).resolve().parents[2] / "build" / "models"
BUNDLES = (16, 64, 256)
"""Traces of one submission."""


@dataclass(frozen=True)
class Costs:
    """CPU seconds for each completion token: drawing it, its part in a gradient, and repeating either."""

    rollout: float
    gradient: float
    replay: float
    recompute: float

    def of_sampling(self, checks: Verification, bundle: int) -> float:
        """What replaying costs over what sampling does, in submissions of so many traces."""
        return checks.rate_of("rollout") * min(1.0, checks.traces / bundle) * self.replay / self.rollout

    def of_training(self, checks: Verification) -> float:
        """What recomputing costs over what training does."""
        return checks.rate_of("training") * self.recompute / self.gradient

    def of_all(self, checks: Verification, bundle: int) -> float:
        """Checking over working, in a network that trains on everything it samples."""
        checking = self.of_sampling(checks, bundle) * self.rollout + self.of_training(checks) * self.gradient
        return checking / (self.rollout + self.gradient)


def measure(tokens: int, groups: int) -> Costs:
    """On SmolLM2-135M, with hosts that compute in the precision that is fast on this machine."""
    profile = PROFILES["smollm2"]
    profile = replace(profile, job=profile.job | {"sampling": Sampling(max_tokens=tokens)})
    shop = Workshop(profile, profile.model(MODELS / profile.name), submissions=1, bundle=groups)
    shop.spec = shop.spec.model_copy(update={"stop_token_ids": (NEVER,)})
    dtype = torch.bfloat16 if has_fast_bf16("cpu") else torch.float32
    engine = BuiltinEngine(shop.policy.config, dtype)
    engine.load(shop.weights)
    prompts = [Prompt(shop.prompt_ids(group), shop.seeds(group)) for group in shop.groups]
    engine.generate(prompts[:1], shop.spec.sampling, [])
    completions, rollout = timed(lambda: engine.generate(prompts, shop.spec.sampling, []))
    drawn = shop.traces(completions)
    shop.replayer.replay(drawn[:1])
    count = sum(len(trace.completion_ids) for trace in drawn)
    _, replay = timed(lambda: shop.replayer.replay(drawn))
    made = Round(shop, size=groups)
    _, gradient = timed(lambda: made.gradient(made.groups(0), dtype))
    _, recompute = timed(lambda: sketch(made.gradient(made.groups(0), dtype), SEED))
    return Costs(*(seconds / count for seconds in (rollout, gradient, replay, recompute)))


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and the CPU seconds it took."""
    began = time.process_time()
    made = work()
    return made, time.process_time() - began


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=64, help="most tokens of a completion")
    parser.add_argument("--groups", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    costs = measure(options.tokens, options.groups)
    print("CPU ms for each completion token")
    for name, seconds in vars(costs).items():
        print(f"  {name:10} {seconds * 1e3:7.2f}   {seconds / costs.rollout:5.2f} of a drawn one")
    checks = Verification()
    print(f"recomputing comes to {costs.of_training(checks):.4f} of training")
    for bundle in BUNDLES:
        sampled, whole = costs.of_sampling(checks, bundle), costs.of_all(checks, bundle)
        print(
            f"submissions of {bundle:3} traces: replaying {sampled:.4f} of sampling, checking {whole:.4f} of all work"
        )


if __name__ == "__main__":
    main()
