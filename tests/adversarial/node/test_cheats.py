"""Which cheats a replay catches, and how often, on real models. `pytest -s` prints the table.

A submission is bad when one of its traces is, or all of them together. The figures asserted are what is reached, not
what one would wish for: where a cheat gets through, the bound says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from r1net.protocol.job import Sampling
from r1net.protocol.trace import Trace
from r1node.rollout.engine import Prompt
from r1node.verification.calibration import rounded
from r1node.verification.judge import WorkVerdict, judge_trace, judge_work
from tests.adversarial.node.workshop import Workshop, noisy, with_tokens
from tests.e2e.demo.profiles import SMOLLM2, TINY

BUILD = Path(__file__).resolve().parents[3] / "build" / "models"
SEEDS_TRIED = 4


def honest(shop: Workshop) -> list[Trace]:
    return shop.traces(shop.sample())


def honest_in_float32(shop: Workshop) -> list[Trace]:
    """Another engine's arithmetic."""
    return shop.traces(shop.sample(dtype=torch.float32))


def forged(shop: Workshop) -> list[Trace]:
    """(a) The reference answer with invented log-probabilities."""
    return shop.forged()


def forged_with_right_logprobs(shop: Workshop) -> list[Trace]:
    """(a) The same by a cheat who has the model: only the draws give it away."""
    return shop.right_logprobs(shop.forged())


def other_version(shop: Workshop) -> list[Trace]:
    """(b) Sampled four steps away from the version that is claimed."""
    return shop.traces(shop.sample(shop.later_version(4)))


def noise(shop: Workshop) -> list[Trace]:
    """(b) Sampled from weights with 1 % noise."""
    return shop.traces(shop.sample(noisy(shop.weights, 0.01)))


def rounded_weights(shop: Workshop) -> list[Trace]:
    """(c) Sampled from int8 weights."""
    return shop.traces(shop.sample(rounded(shop.weights, 8)))


def low_temperature(shop: Workshop) -> list[Trace]:
    """(d) Sampled at temperature 0.7 with the right seeds, log-probabilities as at 1."""
    cold = shop.spec.sampling.model_copy(update={"temperature": 0.7})
    return shop.right_logprobs(shop.traces(shop.sample(sampling=cold)))


def greedy(shop: Workshop) -> list[Trace]:
    """(d) The likeliest tokens, log-probabilities as at temperature 1."""
    limit = shop.spec.sampling.max_tokens
    return shop.right_logprobs(shop.traces(shop.sample(sampling=Sampling(temperature=0.0, max_tokens=limit))))


def best_of_n(shop: Workshop) -> list[Trace]:
    """(d) The best of four honest draws, of which only one has the right seed."""
    tries = []
    for shift in range(SEEDS_TRIED):
        prompts = [Prompt(shop.prompt_ids(group), shop.seeds(group, shift)) for group in shop.groups]
        tries.append(shop.traces(shop.sample(prompts=prompts)))
    return [max(same_place, key=lambda trace: trace.reward) for same_place in zip(*tries, strict=True)]


def edited(shop: Workshop) -> list[Trace]:
    """(e) One token of each completion replaced, its log-probability kept."""
    rng = random.Random(0)
    stops, size = set(shop.spec.stop_token_ids), shop.policy.config.vocab_size
    others = [token for token in range(size) if token not in stops]
    completions = [
        [with_tokens(one, rng.randrange(max(1, len(one.token_ids) - 1)), rng.choice(others)) for one in members]
        for members in shop.sample()
    ]
    return shop.traces(completions)


def hinted(shop: Workshop) -> list[Trace]:
    """(f) Sampled behind a prompt that holds the answer, log-probabilities as under the canonical one."""
    prompts = []
    for group in shop.groups:
        question = shop.scorer.problem("train", 0, group).question
        text = shop.spec.render(f"{question} (Hint: {shop.answer(group)})")
        ids = shop.tokenizer.encode(text, add_special_tokens=False).ids
        prompts.append(Prompt(ids, shop.seeds(group)))
    return shop.right_logprobs(shop.traces(shop.sample(prompts=prompts)))


Cheat = Callable[[Workshop], list[Trace]]


@dataclass(frozen=True)
class Share:
    """What came out: shares of submissions and of single traces that are bad."""

    submissions: float
    traces: float
    verdicts: list[WorkVerdict]


def judge(shop: Workshop, cheat: Cheat) -> Share:
    made = sorted(cheat(shop), key=lambda trace: (trace.group, trace.index))
    step = shop.bundle * shop.size
    parts = [shop.replayer.replay(made[start : start + step]) for start in range(0, len(made), step)]
    verdicts = [judge_work(part) for part in parts]
    bad = sum(judge_trace(replay).fault is not None for part in parts for replay in part)
    share = Share(sum(not verdict.holds for verdict in verdicts) / len(verdicts), bad / len(made), verdicts)
    _print_line(shop.spec.name, cheat.__name__, share)
    return share


def _print_line(model: str, name: str, share: Share) -> None:
    findings = [verdict.finding for verdict in share.verdicts]
    tokens = sum(finding.tokens for finding in findings)
    means = {
        figure: sum(getattr(finding, figure) * finding.tokens for finding in findings) / tokens
        for figure in ("mean_abs_delta", "noise", "usual_noise", "drawn", "mean_miss", "usual_miss")
    }
    shown = "  ".join(f"{figure} {value:.4f}" for figure, value in means.items())
    print(
        f"\n{model:17} {name:27} submissions bad {share.submissions:6.1%}  traces bad {share.traces:6.1%}  {shown}  "
        f"max {max(finding.max_abs_delta for finding in findings):.2f}  {tokens} tokens",
        end="",
    )


@pytest.fixture(scope="module")
def tiny() -> Workshop:
    return Workshop(TINY, TINY.model(BUILD / "tiny"), submissions=8, bundle=16)


@pytest.fixture(scope="module")
def smollm2() -> Workshop:
    return Workshop(SMOLLM2, SMOLLM2.model(BUILD / "smollm2"), submissions=4, bundle=8)


@pytest.mark.parametrize("work", [honest, honest_in_float32])
def test_honest_work_holds(tiny: Workshop, work: Cheat) -> None:
    share = judge(tiny, work)
    assert (share.submissions, share.traces) == (0, 0)


@pytest.mark.parametrize(
    ("cheat", "submissions", "traces"),
    [
        (forged, 1.0, 0.5),
        (forged_with_right_logprobs, 1.0, 0.4),
        (other_version, 1.0, 0.2),
        (low_temperature, 1.0, 0.0),
        (greedy, 1.0, 0.15),
        (best_of_n, 1.0, 0.3),
        (edited, 1.0, 0.9),
        (hinted, 1.0, 0.8),
    ],
)
def test_cheats_are_caught(tiny: Workshop, cheat: Cheat, submissions: float, traces: float) -> None:
    share = judge(tiny, cheat)
    assert share.submissions >= submissions
    assert share.traces >= traces


@pytest.mark.parametrize("work", [noise, rounded_weights])
def test_what_gets_through_on_a_tiny_model(tiny: Workshop, work: Cheat) -> None:
    """Its logits move less than those of honest rounding on larger models do, and its draws hardly ever."""
    assert judge(tiny, work).submissions == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_real_model(smollm2: Workshop) -> None:
    """SmolLM2-135M on the demo's job, about 430 tokens to a submission. Weights with 1 % noise are found in most of
    them; int8 weights differ less from honest work than honest work of other versions does, and get through."""
    for work in (honest, honest_in_float32):
        assert judge(smollm2, work).submissions == 0
    certain = (forged, forged_with_right_logprobs, other_version, low_temperature, greedy, best_of_n, edited, hinted)
    for cheat in certain:
        assert judge(smollm2, cheat).submissions == 1
    assert judge(smollm2, noise).submissions >= 0.5
    assert judge(smollm2, rounded_weights).submissions <= 0.5
