"""`make bench`: our decoding and our GRPO step against the alternatives, in one run, interleaved.

Each contender is a process of its own; figures are CPU seconds, which other processes on the machine disturb least.
Prints the ratios and writes build/bench/<name>.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from r1node.cli.join import KEEP_MEMORY
from tests.benchmarks.workload import MODEL, ROOT
from tests.e2e.demo.smollm2 import smollm2


@dataclass(frozen=True)
class Contender:
    """A module of this folder with its arguments."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()

    def run(self) -> dict[str, float]:
        """One process; its RESULT line."""
        command = [sys.executable, "-m", f"tests.benchmarks.{self.module}", *self.arguments]
        env = {**os.environ, **KEEP_MEMORY, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            if line.startswith("RESULT "):
                result: dict[str, float] = json.loads(line.removeprefix("RESULT "))
                return result
        raise RuntimeError(f"{self.name} gave no result:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


BENCHES: dict[str, tuple[Contender, ...]] = {
    "decode-bf16": (
        Contender("r1net", "decode_ours", ("bfloat16",)),
        Contender("transformers.generate", "decode_transformers", ("bfloat16",)),
    ),
    "decode-fp32": (
        Contender("r1net", "decode_ours", ("float32",)),
        Contender("transformers.generate", "decode_transformers", ("float32",)),
    ),
    "grpo-step": (
        Contender("r1net", "step_ours"),
        Contender("TRL GRPOTrainer", "step_trl"),
    ),
}


def bench(name: str, repeats: int) -> dict[str, Any]:
    """Run the contenders of one bench in turn, `repeats` times."""
    results: dict[str, list[dict[str, float]]] = {contender.name: [] for contender in BENCHES[name]}
    for _ in range(repeats):
        for contender in BENCHES[name]:
            results[contender.name].append(contender.run())
    return {"bench": name, "results": results, "ratios": ratios(results)}


def ratios(results: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """For each alternative, its CPU time for each token and its peak memory over ours: medians of the pairs."""
    ours, *others = results
    return {
        other: {
            "cpu_per_token": statistics.median(
                per_token(b) / per_token(a) for a, b in zip(results[ours], results[other], strict=True)
            ),
            "peak_rss": statistics.median(
                b["peak_rss_mb"] / a["peak_rss_mb"] for a, b in zip(results[ours], results[other], strict=True)
            ),
        }
        for other in others
    }


def per_token(result: dict[str, float]) -> float:
    """CPU seconds for each token."""
    return result["cpu_seconds"] / result["tokens"]


def main() -> None:
    """All benches, or those named."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES], default=[])
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    smollm2(MODEL)
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    for name in options.names or BENCHES:
        report = bench(name, options.repeats)
        (folder / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
        for contender, runs in report["results"].items():
            speed = statistics.median(1 / per_token(run) for run in runs)
            memory = statistics.median(run["peak_rss_mb"] for run in runs)
            print(f"{name:<12} {contender:<22} {speed:8.1f} tokens/CPU s   {memory:7.0f} MB", flush=True)
        for other, ratio in report["ratios"].items():
            print(f"{name:<12} {other}: {ratio['cpu_per_token']:.2f}× our time, {ratio['peak_rss']:.2f}× our memory")


if __name__ == "__main__":
    main()
