"""Replay and verdict by their definitions, on small models in float32."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1net.environments import sampling_seed
from r1net.protocol.job import Sampling
from r1net.protocol.trace import Trace
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Prompt
from r1node.rollout.noise import Noise, width
from r1node.rollout.sampler import redraw, sample
from r1node.sandbox import job_scorer
from r1node.verification.judge import (
    FAR_DELTA,
    FAR_MISS,
    FEWEST_TOKENS,
    LEAST_MISS,
    MISS_SCATTER,
    NOISE_FACTOR,
    NOISE_SCATTER,
    judge_trace,
    judge_work,
)
from r1node.verification.replay import Replay, Replayer
from r1node.verification.sample import Drawn
from tests.adversarial.node.workshop import Workshop
from tests.e2e.demo.profiles import TINY
from tests.sandbox import SANDBOX

ALLOWED = NOISE_FACTOR + NOISE_SCATTER / FEWEST_TOKENS**0.5
MISSABLE = LEAST_MISS + MISS_SCATTER / FEWEST_TOKENS**0.5
BUILD = Path(__file__).resolve().parents[3] / "build" / "models"
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.5, 1.0, 1.7]),
    top_k=st.sampled_from([0, 3]),
    top_p=st.sampled_from([1.0, 0.8]),
)


@settings(deadline=None)
@given(st.integers(0, 10_000), samplings)
def test_a_redraw_agrees_with_the_draw(seed: int, sampling: Sampling) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(40, 23, generator=generator) * 2
    noise = Noise(range(seed, seed + 40), 23).at(torch.arange(40), 0)
    tokens, logprobs = sample(logits, noise, sampling)
    found = redraw(logits, noise, tokens, sampling)
    assert torch.allclose(found.logprobs, logprobs, atol=1e-6)  # one sums in blocks, the other at a stretch
    assert float(found.misses.max()) < 1e-6
    other = (tokens + 1) % 23
    missed = redraw(logits, noise, other, sampling)
    assert bool((missed.misses >= 0).all())
    assert bool(torch.isfinite(missed.logprobs).all())
    if sampling.temperature == 1 and sampling.top_k == 0 and sampling.top_p == 1:
        score = logits.double() + noise[:, 1:24]  # one block, whose own noise moves all alike
        assert torch.equal(score.argmax(-1), tokens)
        expected = score.amax(-1) - score.gather(-1, other[:, None])[:, 0]
        assert missed.misses.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000))
def test_the_spread_is_what_noise_on_the_logits_brings(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 17, generator=generator) * 2
    token = torch.tensor([seed % 17])
    spread = float(redraw(logits, torch.zeros(1, width(17), dtype=torch.float64), token, Sampling()).spreads)
    noise = torch.randn(20_000, 17, generator=generator) * 1e-3
    moved = (logits + noise).log_softmax(-1)[:, int(token)]
    assert spread == pytest.approx(float(moved.std()) / 1e-3, rel=0.05)


@pytest.fixture(scope="module")
def shop() -> Workshop:
    return Workshop(TINY, TINY.model(BUILD / "tiny"), submissions=1, bundle=6)


@pytest.fixture(scope="module")
def honest(shop: Workshop) -> list[Trace]:
    return shop.traces(shop.sample())


def by_digest(replays: list[Replay]) -> dict[str, Replay]:
    return {replay.trace.digest(): replay for replay in replays}


def test_replays_do_not_depend_on_company(shop: Workshop, honest: list[Trace]) -> None:
    """In one packed row, in many, in any order: every trace finds its own figures."""
    together = by_digest(shop.replayer.replay(honest))
    assert together.keys() == {trace.digest() for trace in honest}
    folder = BUILD / "tiny"
    narrow = Replayer(shop.spec, folder, job_scorer(SANDBOX, shop.spec, folder), token_budget=1)
    narrow.load()
    shuffled = random.Random(0).sample(honest, len(honest))
    for digest, replay in by_digest(narrow.replay(shuffled)).items():
        assert replay.deltas == pytest.approx(together[digest].deltas, abs=1e-4)
        assert replay.misses == pytest.approx(together[digest].misses, abs=1e-4)
        assert len(replay.deltas) == len(replay.trace.completion_ids)


def test_float32_work_on_the_reference_is_exact(shop: Workshop) -> None:
    held = {name: tensor.to(torch.bfloat16).float() for name, tensor in shop.weights.items()}
    replays = shop.replayer.replay(shop.traces(shop.sample(held, dtype=torch.float32)))
    assert max(abs(delta) for replay in replays for delta in replay.deltas) < 1e-4
    assert max(miss for replay in replays for miss in replay.misses) < 1e-4


def test_prompt_and_seed_are_the_canonical_ones_whatever_the_trace_says(shop: Workshop, honest: list[Trace]) -> None:
    lies = [trace.model_copy(update={"prompt_ids": (1, 2), "seed": 5}) for trace in honest]
    truth = [replay.deltas for replay in shop.replayer.replay(honest)]
    assert [replay.deltas for replay in shop.replayer.replay(lies)] == truth


def test_greedy_answers_are_replayed_too(shop: Workshop) -> None:
    spec = shop.spec
    engine = BuiltinEngine(shop.policy.config, torch.bfloat16)
    engine.load(shop.weights)
    prompts = [
        Prompt(shop.scorer.prompt_ids("heldout", 0, group), [sampling_seed(spec, "heldout", 0, group, 0)])
        for group in range(8)
    ]
    answers = engine.generate(prompts, spec.evaluation.sampling, spec.stop_token_ids)
    traces = [
        shop.trace(group, 0, members[0]).model_copy(update={"split": "heldout", "prompt_ids": tuple(prompt.ids)})
        for group, (prompt, members) in enumerate(zip(prompts, answers, strict=True))
    ]
    assert judge_work(shop.replayer.replay(traces)).holds


def replay_of(honest: list[Trace], delta: float, miss: float, count: int = FEWEST_TOKENS) -> Replay:
    """Every token off by the same, beside a control of noise 0.1."""
    return Replay(honest[0], *((value,) * count for value in (delta, miss, 0.95, 0.1, 0.0)))


def test_limits(honest: list[Trace]) -> None:
    assert judge_trace(replay_of(honest, 0.0, 0.0)).fault is None
    assert "nats off" in (judge_trace(replay_of(honest, -1.01 * FAR_DELTA, 0.0)).fault or "")
    assert "seed draws" in (judge_trace(replay_of(honest, 0.0, 1.01 * FAR_MISS)).fault or "")
    assert judge_work([replay_of(honest, 0.099 * ALLOWED, 0.99 * MISSABLE)]).holds
    assert not judge_work([replay_of(honest, 0.0, 1.01 * MISSABLE)]).holds
    slightly = replay_of(honest, 0.101 * ALLOWED, 0.0)
    assert judge_trace(slightly).fault is None
    assert not judge_work([slightly]).holds
    too_few = replay_of(honest, 0.101 * ALLOWED, 0.0, FEWEST_TOKENS - 1)
    assert judge_work([too_few]).holds


def test_the_sample_is_uniform(honest: list[Trace]) -> None:
    rng, counts = random.Random(0), dict.fromkeys(range(20), 0)
    for _ in range(2000):
        drawn = Drawn(5)
        for number in range(20):
            drawn.offer(honest[0].model_copy(update={"index": number}), rng)
        for trace in drawn.traces:
            counts[trace.index] += 1
    assert all(abs(count - 500) < 100 for count in counts.values())
