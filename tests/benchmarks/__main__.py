"""`make bench`: our decoding and our GRPO step against the alternatives, in one run, interleaved.

Each contender is a process of its own; figures are CPU seconds, which other processes on the machine disturb least.
Each computes in the precision that is the fastest for it on this machine, which its line names: both are tried. Prints
the ratios and writes build/bench/<name>.json. `agreement` is how far sampler and trainer are apart.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from r1net.protocol.job import Precision
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


BOTH: tuple[Precision, ...] = ("float32", "bfloat16")
LONGER = 1.2
LEAST_PATIENCE = 120.0
"""Seconds that the slower precision has in any case: a first run may compile."""


@dataclass(frozen=True)
class Contender:
    """A module of this folder with its arguments, and the environment it runs in when it isn't ours.

    `tuned`: with the allocator settings that the node sets for itself (r1node.allocator), which help everybody;
    without them it is what a host gets who just runs the script.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    precisions: tuple[Precision, ...] = BOTH
    environment: Environment | None = None
    tuned: bool = True

    @property
    def there(self) -> bool:
        """Whether it can run on this machine."""
        return self.environment is None or self.environment.variant is not None

    def run(self, precision: Precision, patience: float | None = None) -> dict[str, Any] | None:
        """One process; its RESULT line. None when it takes more than `patience` seconds."""
        python, env = sys.executable, dict(os.environ)
        if self.environment is not None:
            python, env = str(self.environment.python), surroundings(self.environment, 1, "cpu")
        command = [python, "-m", f"tests.benchmarks.{self.module}", precision, *self.arguments]
        env = {key: value for key, value in env.items() if key not in GLIBC}
        if self.tuned and self.environment is None:
            env |= keep_memory()
        env |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=patience
            )
        except subprocess.TimeoutExpired:
            return None
        for line in done.stdout.splitlines():
            if line.startswith("RESULT "):
                result: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
                return result | {"precision": precision}
        raise RuntimeError(f"{self.name} gave no result:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def ours(group: int, *precisions: Precision) -> Contender:
    """The built-in engine, with 16 prompts of `group` completions each."""
    return Contender("r1net", "decode_ours", (str(group),), precisions or BOTH)


def vllm(group: int, *precisions: Precision) -> Contender:
    """vLLM at the same work."""
    return Contender("vLLM", "decode_vllm", (str(group), str(TOKEN_IDS)), precisions or BOTH, VLLM)


def transformers(tuned: bool, *precisions: Precision) -> Contender:
    """A script with `generate` at the same work."""
    name = "transformers, tuned" if tuned else "transformers"
    return Contender(name, "decode_transformers", ("8",), precisions or BOTH, tuned=tuned)


BENCHES: dict[str, tuple[Contender, ...]] = {
    "decode": (ours(8), transformers(False), transformers(True), vllm(8)),
    "decode-fp32": (ours(8, "float32"), transformers(False, "float32"), transformers(True, "float32")),
    "decode-512": (ours(32), vllm(32)),
    "grpo-step": (
        Contender("r1net", "step_ours"),
        Contender("TRL", "step_trl", tuned=False),
        Contender("TRL, tuned", "step_trl"),
    ),
}
AGREEMENT = "agreement"


def bench(name: str, repeats: int) -> dict[str, Any]:
    """Run the contenders of one bench in turn, `repeats` times, each in its fastest precision."""
    contenders = [contender for contender in BENCHES[name] if contender.there]
    results = {contender.name: [fastest(contender)] for contender in contenders}
    for _ in range(1, repeats):
        for contender in contenders:
            again = contender.run(results[contender.name][0]["precision"])
            assert again is not None, "without a limit of time"
            results[contender.name].append(again)
    return {"bench": name, "results": results, "ratios": ratios(results)}


def fastest(contender: Contender) -> dict[str, Any]:
    """One run in the precision that takes the least CPU time. Another that takes longer is given up: a processor that
    only emulates bfloat16 would take a quarter of an hour."""
    best: dict[str, Any] | None = None
    for precision in contender.precisions:
        began = time.monotonic()
        found = contender.run(precision, None if best is None else max(LEAST_PATIENCE, LONGER * best["seconds"]))
        if found is not None and (best is None or per_token(found) < per_token(best)):
            best = found | {"seconds": time.monotonic() - began}
    assert best is not None, "the first is not given up"
    return best


def ratios(results: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
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


def per_token(result: dict[str, Any]) -> float:
    """CPU seconds for each token."""
    return result["cpu_seconds"] / result["tokens"]


def compare(name: str, repeats: int) -> None:
    """One bench: run, write, print."""
    report = bench(name, repeats)
    (FOLDER / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    for contender, runs in report["results"].items():
        speed, precision = statistics.median(1 / per_token(run) for run in runs), runs[0]["precision"]
        memory = statistics.median(run["peak_rss_mb"] for run in runs)
        print(f"{name:<15} {contender:<22} {precision:<9} {speed:8.1f} tokens/CPU s   {memory:7.0f} MB", flush=True)
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
