"""One trainer as a process of its own, on whatever machine its environment makes of this one. Told what to do in lines:

gradient FILE ROUND    write the gradient of a round's groups as .npy
step FILE              take a step with the gradient in it, and say which version that makes
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch

from r1net.protocol.job import Lora
from r1node.training.policy import TrainablePolicy
from r1node.training.trainer import Trainer
from tests.unit.node.test_training import gradient_of, some_groups, spec


def main(folder: Path, threads: int, rank: int) -> None:
    """Serve standard input."""
    torch.set_num_threads(threads)
    job = spec(dtype="bfloat16", lora=Lora(rank=rank) if rank else None)
    made = Trainer(job, TrainablePolicy(job, folder))
    print(torch.backends.cpu.get_cpu_capability(), made.dtype, flush=True)
    for line in sys.stdin:
        match line.split():
            case ["gradient", path, number]:
                made.accumulate(some_groups(6, int(number)), gradient_of(60))
                np.save(path, made.gradient().numpy())
                print("done", flush=True)
            case ["step", path]:
                made.step(torch.from_numpy(np.load(path)))
                print(*map(_digest, (made.policy.save(), made.save_optimizer(), _sampled(made))), flush=True)


def _sampled(made: Trainer) -> bytes:
    return b"".join(t.view(torch.int16).numpy().tobytes() for _, t in sorted(made.policy.merged().items()))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
