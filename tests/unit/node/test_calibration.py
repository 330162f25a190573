"""Calibration: what it proposes for known noise, and the command on a real model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1net.protocol.job import TIGHTEST, WIDEST
from r1node.verification.calibration import EIGHT_BITS, SURE, Series, rounded, summary
from tests.e2e.demo.tiny import tiny_model


def series(way: str, honest: bool, ratio: float, spread: float = 0.3) -> Series:
    """Traces of 20 tokens, noise `ratio` times the control's, which is 0.05 spreads; both scatter by trace."""
    rng = np.random.default_rng(len(way))
    usual = rng.gamma(1 / spread**2, 0.05 * 20 * spread**2, 500)
    noise = ratio * rng.gamma(1 / spread**2, 0.05 * 20 * spread**2, 500)
    return Series(way, honest, np.stack([noise, np.full(500, 20.0), usual, np.full(500, 20.0)], axis=1))


@settings(max_examples=12, deadline=None)  # each draws thousands of samples
@given(st.floats(0.1, 1.25), st.floats(1.7, 5.0))
def test_coarse_weights_get_the_tokens_that_they_need_and_honest_ones_no_alarm(honest: float, coarse: float) -> None:
    found = summary([series("honest", True, honest), series(EIGHT_BITS, False, coarse), series("4 bits", False, 20.0)])
    assert TIGHTEST <= found.noise <= WIDEST
    assert found.noise >= min(WIDEST, honest)
    assert max(found.false_alarms.values()) == 0
    eight, four = found.coarse
    assert eight.auc[30_000] > 0.99
    assert found.traces is not None
    assert eight.tokens is not None
    assert eight.found[eight.tokens] >= SURE
    assert min(256, eight.tokens / 20) <= found.traces <= 256
    assert four.tokens is not None
    assert four.tokens <= eight.tokens


def test_what_cannot_be_told_apart_is_said_to_be_so() -> None:
    found = summary([series("honest", True, 1.0), series(EIGHT_BITS, False, 0.8)])
    assert found.traces is None
    assert found.coarse[0].tokens is None


@pytest.mark.parametrize("bits", [8, 4])
def test_rounding_moves_no_weight_by_more_than_half_a_step(bits: int) -> None:
    torch.manual_seed(0)
    weights = {"layer": torch.randn(8, 64), "embed_tokens": torch.randn(8, 64), "norm": torch.randn(8)}
    made = rounded(weights, bits)
    step = weights["layer"].abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
    assert ((made["layer"] - weights["layer"]).abs() <= step * 0.501).all()
    assert not torch.equal(made["layer"], weights["layer"])
    assert torch.equal(made["embed_tokens"], weights["embed_tokens"])


def test_the_command_measures_a_model(tmp_path: Path) -> None:
    model = tiny_model(Path(__file__).resolve().parents[3] / "build" / "models" / "tiny")
    r1node = Path(sys.executable).with_name("r1node")
    command = [str(r1node), "--json", "--data-dir", str(tmp_path), "calibrate", str(model)]
    done = subprocess.run([*command, "--max-tokens", "4", "--groups", "2"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert set(found) == {"noise", "traces", "honest", "false_alarms", "coarse"}
    assert any(way.startswith("builtin") for way in found["honest"])
    refused = subprocess.run([*command, "--config", "[1]"], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "JSON object" in refused.stdout + refused.stderr
