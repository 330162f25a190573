"""False accusations: honest traces and honest gradients before the judges, over engines, precisions, instruction sets,
batch shapes and threads. None may be called bad; the interval says how sure that is.

    python -m tests.benchmarks.verification --traces 20000 --gradients 2000

Each kind of machine is a process of its own, whose environment makes of this one what it stands for. Submissions have
eight traces, as a draw replays of each, and are judged by the least noise that a job may allow. The verifier is this
machine itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from r1net.protocol.job import TIGHTEST
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Completion, Prompt
from r1node.rollout.transformers import TransformersEngine
from r1node.verification.judge import judge_trace, judge_work
from tests.adversarial.node.trainers import Round
from tests.adversarial.node.workshop import Workshop
from tests.e2e.demo.profiles import PROFILES, Profile

MODELS = Path(__file__).resolve().parents[2] / "build" / "models"
DRAWN = 8
"""Traces of a submission that a draw replays: the default of `Verification.traces`."""

MACHINES = {
    "this machine": {},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "two threads": {"R1_BENCH_THREADS": "2"},
}
PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class Way:
    """How honest work is done: by which engine, in which precision, how many groups at a time."""

    engine: str
    precision: str
    groups: int

    def sample(self, shop: Workshop) -> list[list[Completion]]:
        """Every group of a workshop, done so."""
        dtype = PRECISIONS[self.precision]
        if self.engine == "builtin":
            engine: BuiltinEngine | TransformersEngine = BuiltinEngine(shop.policy.config, dtype)
        else:
            engine = TransformersEngine(shop.policy.module, dtype)
        engine.load(shop.weights)
        prompts = [Prompt(shop.prompt_ids(group), shop.seeds(group)) for group in shop.groups]
        parts = [prompts[at : at + self.groups] for at in range(0, len(prompts), self.groups)]
        stops = shop.spec.stop_token_ids
        return [made for part in parts for made in engine.generate(part, shop.spec.sampling, stops)]


WAYS = [
    Way(engine, precision, groups)
    for engine in ("builtin", "transformers")
    for precision in PRECISIONS
    for groups in (1, 5, 64)
]


def shops(profile: Profile, groups: int) -> Iterator[Workshop]:
    """Workshops of so many groups, each of other problems and seeds."""
    folder = profile.model(MODELS / profile.name)
    seed = 0
    while True:
        yield Workshop(profile, folder, submissions=1, bundle=groups, seed=seed)
        seed += 1


def accuse(profile: Profile, traces: int, gradients: int) -> dict[str, dict[str, int]]:
    """Do so much honest work in every way, and judge it. Returns counts by way."""
    counts: dict[str, dict[str, int]] = {}
    making = shops(profile, 64)
    while sum(count["traces"] for count in counts.values()) < traces:
        shop = next(making)
        for way in WAYS:
            _add(counts, str(way), judge(shop, way))
    done = 0
    while done < gradients:
        made = Round(next(making), size=4)
        for name, precision, budget in (
            ("float32", "float32", 1024),
            ("float32, small batches", "float32", 96),
            ("bfloat16", "bfloat16", 1024),
            ("bfloat16, small batches", "bfloat16", 96),
        ):
            bad = [
                made.judge(slot, made.gradient(made.groups(slot), PRECISIONS[precision], budget)).guilty
                for slot in made.slots
            ]
            done += len(bad)
            _add(counts, f"gradients in {name}", {"gradients": len(bad), "bad_gradients": sum(bad)})
    return counts


def judge(shop: Workshop, way: Way) -> dict[str, int]:
    """How many submissions, and how many single traces, of honest work are called bad."""
    replays = shop.replayer.replay(shop.traces(way.sample(shop)))
    parts = [replays[at : at + DRAWN] for at in range(0, len(replays), DRAWN)]
    return {
        "traces": len(replays),
        "bad_traces": sum(judge_trace(replay).fault is not None for replay in replays),
        "submissions": len(parts),
        "bad_submissions": sum(not judge_work(part, TIGHTEST).holds for part in parts),
    }


def _add(counts: dict[str, dict[str, int]], name: str, found: dict[str, int]) -> None:
    row = counts.setdefault(name, dict.fromkeys(("traces", *found), 0))
    for key, value in found.items():
        row[key] += value


def at_most(bad: int, of: int) -> float:
    """The upper end of the one-sided 95 % interval of a share (Clopper and Pearson 1934), by bisection."""
    low, high = bad / of, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        chance, term = 0.0, (1 - middle) ** of
        for k in range(bad + 1):
            chance += term
            term *= (of - k) / (k + 1) * middle / max(1 - middle, 1e-300)
        low, high = (middle, high) if chance > 0.05 else (low, middle)
    return high


def main() -> int:
    """Exit code 1 when anything honest was called bad."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, default="tiny")
    parser.add_argument("--traces", type=int, default=20_000)
    parser.add_argument("--gradients", type=int, default=2_000)
    parser.add_argument("--here", action="store_true", help="in this process, as the machine that it is")
    options = parser.parse_args()
    if options.here:
        torch.set_num_threads(int(os.environ.get("R1_BENCH_THREADS", "1")))
        print("RESULT " + json.dumps(accuse(PROFILES[options.profile], options.traces, options.gradients)))
        return 0
    totals: dict[str, int] = {}
    for machine, variables in MACHINES.items():
        share = (f"--{name}={-(-getattr(options, name) // len(MACHINES))}" for name in ("traces", "gradients"))
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.verification",
            "--here",
            f"--profile={options.profile}",
            *share,
        ]
        done = subprocess.run(command, env=os.environ | variables, stdout=subprocess.PIPE, text=True, check=True)
        line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
        for way, row in json.loads(line.removeprefix("RESULT ")).items():
            print(f"{machine:14} {way:70} {row}")
            for key, value in row.items():
                totals[key] = totals.get(key, 0) + value
    for kind in ("traces", "submissions", "gradients"):
        bad, of = totals[f"bad_{kind}"], totals[kind]
        print(f"{bad} of {of} honest {kind} called bad: at most {at_most(bad, of):.2e} with 95 % confidence")
    return 1 if any(totals[f"bad_{kind}"] for kind in ("submissions", "gradients")) else 0


if __name__ == "__main__":
    sys.exit(main())
