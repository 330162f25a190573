"""The built-in engine against transformers' own forward pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1net.protocol.job import Sampling
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Completion, Prompt
from tests.unit.node.models import STOP, VOCABULARY, llama, qwen2, qwen3

PROMPTS = [Prompt([5, 9, 3], [1, 2, 3, 4]), Prompt([7] * 11, [5, 6, 7, 8]), Prompt([2, 40, 41, 42, 3], [9, 10, 11, 12])]


def engine(model: Any, **options: Any) -> BuiltinEngine:
    built = BuiltinEngine(model.config, torch.float32, **options)
    built.load(model.state_dict())
    return built


def reference(model: Any, prompt: Prompt, completion: Completion) -> list[float]:
    """Log-probabilities of a completion by one plain forward pass."""
    ids = torch.tensor([[*prompt.ids, *completion.token_ids]])
    with torch.no_grad():
        logprobs = model(ids).logits[0].log_softmax(-1)
    start = len(prompt.ids) - 1
    return [float(logprobs[start + t, token]) for t, token in enumerate(completion.token_ids)]


MODELS = {
    "tied": llama(),
    "untied": llama(tied=False),
    "qwen2": qwen2(),
    "qwen3": qwen3(),
    "without C kernels": llama(head_dim=8),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_logprobs_are_those_of_the_model(model: Any) -> None:
    for prompt, group in zip(PROMPTS, engine(model).generate(PROMPTS, Sampling(max_tokens=12), [STOP]), strict=True):
        assert len(group) == len(prompt.seeds)
        for completion in group:
            assert completion.logprobs == pytest.approx(reference(model, prompt, completion), abs=2e-4)


def test_greedy_is_the_arg_max_at_every_step() -> None:
    model = llama()
    prompt = PROMPTS[0]
    group = engine(model).generate([prompt], Sampling(max_tokens=10, temperature=0), [STOP])[0]
    ids = list(prompt.ids)
    for token in group[0].token_ids:
        with torch.no_grad():
            assert token == int(model(torch.tensor([ids])).logits[0, -1].argmax())
        ids.append(token)
    assert all(completion.token_ids == group[0].token_ids for completion in group)


def test_a_sequence_does_not_depend_on_its_batch() -> None:
    """The same prompt and seed give the same tokens alone, in company, and in batches cut differently."""
    model, sampling = llama(), Sampling(max_tokens=16)
    together = engine(model).generate(PROMPTS, sampling, [STOP])
    in_pieces = engine(model, token_budget=1).generate(PROMPTS, sampling, [STOP])
    alone = [
        engine(model).generate([Prompt(prompt.ids, [seed])], sampling, [STOP])[0][0]
        for prompt in PROMPTS
        for seed in prompt.seeds
    ]
    flat = [completion.token_ids for group in together for completion in group]
    assert flat == [completion.token_ids for group in in_pieces for completion in group]
    assert flat == [completion.token_ids for completion in alone]


def test_finished_rows_leave_without_disturbing_the_others() -> None:
    """Many stop tokens make rows end at different times, so the batch is compacted again and again."""
    model = llama(seed=3)
    stops = list(range(0, VOCABULARY, 4))
    prompts = [Prompt([3, 5, 7 + n], list(range(8 * n, 8 * n + 8))) for n in range(6)]
    groups = engine(model).generate(prompts, Sampling(max_tokens=24), stops)
    lengths = {len(completion.token_ids) for group in groups for completion in group}
    assert len(lengths) > 3
    for prompt, group in zip(prompts, groups, strict=True):
        for completion in group:
            assert completion.logprobs == pytest.approx(reference(model, prompt, completion), abs=2e-4)
            ended = completion.token_ids[-1] in stops
            assert (completion.finish_reason == "stop") == ended
            assert not any(token in stops for token in completion.token_ids[:-1])
            assert ended or len(completion.token_ids) == 24


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    rows=st.integers(1, 5),
    max_tokens=st.integers(1, 10),
)
def test_any_shape_of_batch(lengths: list[int], rows: int, max_tokens: int) -> None:
    model = llama()
    prompts = [Prompt([3 + n] * length, list(range(n * rows, (n + 1) * rows))) for n, length in enumerate(lengths)]
    groups = engine(model).generate(prompts, Sampling(max_tokens=max_tokens), [STOP])
    for prompt, group in zip(prompts, groups, strict=True):
        assert len(group) == rows
        for completion in group:
            assert 1 <= len(completion.token_ids) <= max_tokens
            assert completion.logprobs == pytest.approx(reference(model, prompt, completion), abs=2e-4)


def test_bf16_stays_near_the_trainer() -> None:
    model = llama()
    low = BuiltinEngine(model.config, torch.bfloat16)
    low.load(model.state_dict())
    group = low.generate(PROMPTS, Sampling(max_tokens=12), [STOP])
    differences = [
        abs(a - b)
        for prompt, completions in zip(PROMPTS, group, strict=True)
        for completion in completions
        for a, b in zip(completion.logprobs, reference(model, prompt, completion), strict=True)
    ]
    assert sum(differences) / len(differences) < 0.1


def test_an_interrupted_generation_raises_what_the_caller_raised() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine(llama()).generate(PROMPTS, Sampling(max_tokens=4), [STOP], stop)
