"""Trainers on machines that differ in instruction sets, threads and compiler come to the same versions, though their
gradients differ: what they step with is the same average."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from tests.unit.node.models import llama

SOME, ROUNDS = 4, 20
"""Four show what differs between machines, twenty that nothing grows."""
CLANG = next((name for name in ("clang", "clang-14", "clang-15", "clang-16") if shutil.which(name)), None)
MACHINES = {
    "old, one thread": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "threads": "1"},
    "AVX2, two threads": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "threads": "2"},
    "this one": {"threads": "1"},
}


@dataclass
class Replica:
    """A process of `replica.py`."""

    into: IO[str]
    out: IO[str]

    def ask(self, line: str) -> str:
        self.into.write(line + "\n")
        self.into.flush()
        return self.hear()

    def hear(self) -> str:
        answer = self.out.readline().strip()
        assert answer, "the replica ended"
        return answer


@contextmanager
def replica(folder: Path, rank: int, threads: str, **env: str) -> Iterator[Replica]:
    command = [sys.executable, "-m", "tests.integration.node.replica", str(folder), threads, str(rank)]
    process = subprocess.Popen(
        command, env=os.environ | env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Replica(process.stdin, process.stdout)
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


@pytest.mark.parametrize("rounds", [SOME, pytest.param(ROUNDS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rank", [0, 4], ids=["full", "lora"])
def test_equal_versions_round_after_round(rank: int, rounds: int, tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path / "model")
    machines = dict(MACHINES)
    if CLANG is not None:
        machines["this one, clang"] = {"threads": "2", "CC": CLANG}
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(replica(tmp_path / "model", rank, **settings))
            for name, settings in machines.items()
        }
        kinds = {name: each.hear().split()[0] for name, each in started.items()}
        assert kinds["old, one thread"] == "DEFAULT"
        assert kinds["AVX2, two threads"] == "AVX2"
        differed = False
        for number in range(rounds):
            gradients = []
            for place, each in enumerate(started.values()):
                each.ask(f"gradient {tmp_path}/{place}.npy {number}")
                gradients.append(np.load(tmp_path / f"{place}.npy"))
            differed |= any(gradient.tobytes() != gradients[0].tobytes() for gradient in gradients)
            np.save(tmp_path / "average.npy", np.mean(gradients, axis=0, dtype=np.float32))
            versions = {name: each.ask(f"step {tmp_path}/average.npy") for name, each in started.items()}
            assert len(set(versions.values())) == 1, (number, versions)
    assert differed, "machines whose gradients are alike show nothing"
