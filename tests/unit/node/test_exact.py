"""The arithmetic between versions: what it is, and that it is the same whatever the machine lets it use."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from r1net.errors import PreflightError, UsageError
from r1net.protocol.job import Optimizer
from r1net.weights.merge import merge_pair as merge_in_numpy
from r1net.weights.rounding import to_bfloat16
from r1node.training import exact

LARGEST = float(np.finfo(np.float32).max)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def test_the_digest_is_everybody_s() -> None:
    """Who changes the arithmetic, in whatever place, finds this red: another number is another network."""
    assert exact.digest_of_a_run() == exact.EXPECTED
    exact.require()


def test_the_steps_are_those_of_numpy() -> None:
    """An oracle that shares no code: the processor's own instructions, one after the other."""
    options, rate, single = Optimizer(learning_rate=1e-3, weight_decay=0.01), 1e-3, np.float32
    beta1, beta2 = options.betas
    adamw, stream = exact.AdamW(options), np.random.default_rng(4)
    p = stream.standard_normal(70_000).astype(single)
    trained = torch.from_numpy(p.copy())
    m, v = np.zeros_like(p), np.zeros_like(p)
    for number in range(1, 21):
        g = (stream.standard_normal(len(p)) * 10.0 ** stream.integers(-30, 3, len(p))).astype(single)
        adamw.step([trained], [torch.from_numpy(g)], rate)
        m = m * single(beta1) + g * single(1 - beta1)
        v = v * single(beta2) + (g * g) * single(1 - beta2)
        root = np.sqrt(v) / single(math.sqrt(1 - exact.power(beta2, number))) + single(options.eps)
        p = p * single(1 - rate * options.weight_decay)
        p = p - (m / root) * single(rate / (1 - exact.power(beta1, number)))
    assert trained.numpy().tobytes() == p.tobytes()


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(0, LARGEST, width=32)))
def test_roots_are_rounded_to_the_nearest(values: np.ndarray) -> None:
    """A root in float64 has more than twice the digits, so rounding it again changes nothing."""
    into = torch.empty(len(values))
    exact.square_root(torch.from_numpy(values), into)
    assert [float(x) for x in into] == [float(np.float32(math.sqrt(x))) for x in values.tolist()]


@pytest.mark.parametrize("told", ["default", "avx2"])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_lesser_instruction_sets_and_threads_change_nothing(told: str, threads: str) -> None:
    code = (
        "import torch; from r1node.training.exact import digest_of_a_run as run;"
        f"torch.set_num_threads({threads}); print(torch.backends.cpu.get_cpu_capability(), run())"
    )
    env = os.environ | {"ATEN_CPU_CAPABILITY": told, "OMP_NUM_THREADS": threads}
    answer = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert answer.split() == [told.upper(), exact.EXPECTED]


def test_flush_to_zero_is_noticed() -> None:
    """A library that is compiled with -ffast-math switches it on for the whole process."""
    code = "import torch; torch.set_flush_denormal(True); from r1node.training.exact import require; require()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "flush-to-zero" in done.stderr


def test_require_names_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "EXPECTED", "0" * 64)
    with pytest.raises(PreflightError, match="IEEE-754"):
        exact.require()


def test_it_is_adamw() -> None:
    """Against PyTorch's own, which it follows to the last digits but not bit by bit."""
    options = Optimizer(learning_rate=1e-3, weight_decay=0.1, betas=(0.9, 0.95))
    ours, theirs = drawn(1, 70_000), torch.nn.Parameter(drawn(1, 70_000))
    optimizer = exact.AdamW(options)
    reference = torch.optim.AdamW([theirs], lr=1e-3, betas=options.betas, eps=options.eps, weight_decay=0.1)
    for step in range(5):
        gradient = drawn(10 + step, 70_000)
        optimizer.step([ours], [gradient], 1e-3)
        theirs.grad = gradient
        reference.step()
    assert torch.allclose(ours, theirs.detach(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "wrong", [{"betas": (1.0, 0.9)}, {"betas": (0.9, 1.0)}, {"betas": (-0.1, 0.9)}, {"eps": 1e-46}]
)
def test_settings_that_divide_by_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Optimizer(**wrong)


def test_no_gradient_and_the_largest_move_to_numbers() -> None:
    optimizer, weight = exact.AdamW(Optimizer(eps=1e-30, betas=(0.0, 0.0))), torch.ones(3)
    optimizer.step([weight], [torch.tensor([0.0, 1e-45, 1e19])], 1e-3)
    assert bool(torch.isfinite(weight).all())
    assert weight[0] == 1.0


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for size in (exact.CHUNK, 1000):
        monkeypatch.setattr(exact, "CHUNK", size)
        optimizer, weight = exact.AdamW(Optimizer(learning_rate=1e-2)), drawn(1, 300, 40)
        optimizer.step([weight], [drawn(2, 300, 40)], 1e-2)
        made.append((weight, exact.merge_pair(weight, drawn(3, 4, 40), drawn(4, 300, 4), 2.0)))
    assert torch.equal(made[0][0], made[1][0])
    assert torch.equal(made[0][1], made[1][1])


@given(hnp.arrays(np.float32, st.integers(0, 200), elements=FINITE))
def test_the_norm_is_the_norm(values: np.ndarray) -> None:
    expected = math.sqrt(math.fsum(float(v) ** 2 for v in values))
    found = exact.norm(torch.from_numpy(values))
    assert found == (math.inf if expected > LARGEST else pytest.approx(expected, rel=2e-7))


def test_a_norm_over_chunks_and_of_what_is_not_finite() -> None:
    vector = drawn(5, 3 * exact.NORM_CHUNK + 17)
    assert exact.norm(vector) == pytest.approx(float(vector.double().norm()), rel=1e-7)
    vector[9] = float("nan")
    assert math.isnan(exact.norm(vector))
    assert exact.norm(torch.tensor([float("inf"), 1.0])) == math.inf


@given(st.floats(1e-6, 1, exclude_max=True), st.integers(0, 100_000))
def test_powers_without_the_c_library(base: float, exponent: int) -> None:
    assert exact.power(base, exponent) == pytest.approx(base**exponent, rel=1e-10, abs=1e-300)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**31), st.sampled_from([2.0, 0.3]))
def test_the_merge_is_the_submitter_s(rank: int, out: int, width: int, seed: int, scale: float) -> None:
    """Byte for byte what `Run.download(merged=True)` computes in numpy, and its cast too."""
    weight, low, high = drawn(seed, out, width), drawn(seed + 1, rank, width), drawn(seed + 2, out, rank)
    ours = exact.merge_pair(weight, low, high, scale)
    theirs = merge_in_numpy(weight.numpy(), low.numpy(), high.numpy(), scale)
    assert ours.numpy().tobytes() == theirs.tobytes()
    assert ours.to(torch.bfloat16).view(torch.int16).numpy().tobytes() == to_bfloat16(theirs).tobytes()


def test_the_first_adapter_is_drawn_from_names() -> None:
    """No random numbers of the device: the same bytes everywhere, within PEFT's bounds."""
    made = exact.first_adapter(3, "layer.lora_A.weight", 4, 100)
    digest = hashlib.sha256(made.numpy().tobytes()).hexdigest()
    assert digest == "4e540ff2341290b4ede1c0aad9d3326ac6ddded4685865855723ab613991c8ae"
    assert float(made.abs().max()) <= 0.1
    assert not torch.equal(made, exact.first_adapter(3, "another.lora_A.weight", 4, 100))
