"""`make bench`: our decoding and our GRPO step against the alternatives, in one run, interleaved.

Each contender is a process of its own; figures are CPU seconds, which other processes on the machine disturb least.
Prints the ratios and writes build/bench/<name>.json. `agreement` is how far sampler and trainer are apart.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from r1node.allocator import GLIBC, keep_memory
from r1node.rollout.vllm.environment import Environment
from r1node.rollout.vllm.process import surroundings
from tests.benchmarks import agreement
from tests.benchmarks.workload import MODEL, ROOT, prompts
from tests.e2e.demo.smollm2 import smollm2

FOLDER = ROOT / "build" / "bench"
TOKEN_IDS = FOLDER / "prompts.json"
"""The prompts as token ids, for contenders whose environment lacks what makes them."""

VLLM = Environment(Path(os.environ.get("R1_VLLM_DIR", ROOT / "build" / "engines" / "vllm")))


@dataclass(frozen=True)
class Contender:
    """A module of this folder with its arguments, and the environment it runs in when it isn't ours.

    `tuned`: with the allocator settings that the node sets for itself (r1node.allocator), which help everybody;
    without them it is what a host gets who just runs the script.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: Environment | None = None
    tuned: bool = True

    @property
    def there(self) -> bool:
        """Whether it can run on this machine."""
        return self.environment is None or self.environment.variant is not None

    def run(self) -> dict[str, float]:
        """One process; its RESULT line."""
        python, env = sys.executable, dict(os.environ)
        if self.environment is not None:
            python, env = str(self.environment.python), surroundings(self.environment, 1, "cpu")
        command = [python, "-m", f"tests.benchmarks.{self.module}", *self.arguments]
        env = {key: value for key, value in env.items() if key not in GLIBC}
        if self.tuned and self.environment is None:
            env |= keep_memory()
        env |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            if line.startswith("RESULT "):
                result: dict[str, float] = json.loads(line.removeprefix("RESULT "))
                return result
        raise RuntimeError(f"{self.name} gave no result:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def ours(precision: str, group: int) -> Contender:
    """The built-in engine, with 16 prompts of `group` completions each."""
    return Contender("r1net", "decode_ours", (precision, str(group)))


def vllm(precision: str, group: int) -> Contender:
    """vLLM at the same work."""
    return Contender("vLLM", "decode_vllm", (str(TOKEN_IDS), precision, str(group)), VLLM)


def transformers(precision: str, tuned: bool) -> Contender:
    """A script with `generate` at the same work."""
    name = "transformers, tuned" if tuned else "transformers"
    return Contender(name, "decode_transformers", (precision,), tuned=tuned)


BENCHES: dict[str, tuple[Contender, ...]] = {
    "decode-bf16": (
        ours("bfloat16", 8),
        transformers("bfloat16", tuned=False),
        transformers("bfloat16", tuned=True),
        vllm("bfloat16", 8),
    ),
    "decode-fp32": (
        ours("float32", 8),
        transformers("float32", tuned=False),
        transformers("float32", tuned=True),
        vllm("float32", 8),
    ),
    "decode-bf16-512": (ours("bfloat16", 32), vllm("bfloat16", 32)),
    "grpo-step": (
        Contender("r1net", "step_ours"),
        Contender("TRL", "step_trl", tuned=False),
        Contender("TRL, tuned", "step_trl"),
    ),
}
AGREEMENT = "agreement"


def bench(name: str, repeats: int) -> dict[str, Any]:
    """Run the contenders of one bench in turn, `repeats` times."""
    contenders = [contender for contender in BENCHES[name] if contender.there]
    results: dict[str, list[dict[str, float]]] = {contender.name: [] for contender in contenders}
    for _ in range(repeats):
        for contender in contenders:
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


def compare(name: str, repeats: int) -> None:
    """One bench: run, write, print."""
    report = bench(name, repeats)
    (FOLDER / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    for contender, runs in report["results"].items():
        speed = statistics.median(1 / per_token(run) for run in runs)
        memory = statistics.median(run["peak_rss_mb"] for run in runs)
        print(f"{name:<15} {contender:<22} {speed:8.1f} tokens/CPU s   {memory:7.0f} MB", flush=True)
    for other, ratio in report["ratios"].items():
        print(f"{name:<15} {other}: {ratio['cpu_per_token']:.2f}× our time, {ratio['peak_rss']:.2f}× our memory")


def agree() -> None:
    """Sampler against trainer: run, write, print."""
    found = agreement.measure(VLLM)
    (FOLDER / f"{AGREEMENT}.json").write_text(json.dumps(agreement.table(found), indent=2) + "\n")
    for one in found:
        print(
            f"{AGREEMENT:<15} {one.engine:<8} {one.sampler:<9} trainer {one.trainer:<9} "
            f"|Δ logprob| mean {one.mean:.1e}  p99 {one.p99:.1e}  max {one.largest:.1e}",
            flush=True,
        )


def main() -> None:
    """All benches, or those named."""
    names = [*BENCHES, AGREEMENT]
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *names], default=[])
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    smollm2(MODEL)
    FOLDER.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    TOKEN_IDS.write_text(json.dumps([tokenizer(text).input_ids for text in prompts()]))
    if VLLM.variant is None:
        print(f"vLLM is left out: it is not in {VLLM.folder}; `make vllm-env` installs it", flush=True)
    for name in options.names or names:
        agree() if name == AGREEMENT else compare(name, options.repeats)


if __name__ == "__main__":
    main()
