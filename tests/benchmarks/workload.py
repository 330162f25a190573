"""The same work for every contender: prompts, sizes, and how time and memory are taken.

Every completion has exactly `TOKENS` tokens (no stop token), so that all contenders do the same number of steps.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "build" / "models" / "smollm2"
PROMPTS = 16
GROUP = 8
TOKENS = 32
STEPS = 3
THREADS = 1
LEARNING_RATE = 1e-6


def prompts() -> list[str]:
    """Chat-formatted sums, from the public library."""
    import reasoning_gym

    problems = reasoning_gym.create_dataset("chain_sum", seed=7, size=PROMPTS, min_terms=2, max_terms=4)
    return [f"<|im_start|>user\n{p['question']}<|im_end|>\n<|im_start|>assistant\n" for p in problems]


def digits(texts: list[str]) -> list[float]:
    """A reward with spread that costs nothing: the share of characters that are digits."""
    return [sum(c.isdigit() for c in text) / max(len(text), 1) for text in texts]


def setup() -> None:
    """The same threads for everybody."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)


def measure(work: Callable[[], int], repeats: int) -> None:
    """Run `work` once to warm up, then `repeats` times; print tokens, seconds and memory as JSON."""
    work()
    tokens, cpu, wall = 0, time.process_time(), time.monotonic()
    for _ in range(repeats):
        tokens += work()
    result = {
        "tokens": tokens,
        "cpu_seconds": time.process_time() - cpu,
        "wall_seconds": time.monotonic() - wall,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print("RESULT " + json.dumps(result), flush=True)
