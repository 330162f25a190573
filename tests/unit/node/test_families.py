"""Every family that is supported: engine, trainer and replay against transformers' own forward pass, in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from r1net.errors import UsageError
from r1net.protocol.architectures import FAMILIES
from r1net.protocol.job import Grpo, Sampling
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Prompt, RolloutEngine
from r1node.rollout.transformers import TransformersEngine
from r1node.training.objectives import PolicyGradient
from r1node.training.packing import Group, Sample
from r1node.training.policy import TrainablePolicy
from r1node.training.trainer import Trainer
from tests.unit.node.models import STOP, llama
from tests.unit.node.test_training import spec
from tests.unit.node.zoo import ZOO, words

EXACT = {"dtype": "float32"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for number, (name, exhibit) in enumerate(ZOO.items()):
        made[name] = tmp_path_factory.mktemp(f"model{number}")
        exhibit.make().save_pretrained(made[name])
    return made


def reference(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def engine_for(policy: TrainablePolicy) -> RolloutEngine:
    if policy.why_not_plain is None:
        return BuiltinEngine(policy.config, torch.float32)
    return TransformersEngine(policy.module, torch.float32)


def some_groups(prompt: int) -> list[Group]:
    def sample(seed: int) -> Sample:
        return Sample(words(3 + seed % 6, seed), [-1.0] * (3 + seed % 6), (seed % 5) - 1.7)

    lengths = (prompt, max(1, prompt // 2), max(1, prompt - 3))
    return [Group(words(n, 100 + n), [sample(7 * n + k) for k in range(3)]) for n in lengths]


def test_every_family_has_an_exhibit() -> None:
    assert {exhibit.make().config.model_type for exhibit in ZOO.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", ZOO)
def test_the_engine_samples_from_the_model(name: str, folders: dict[str, Path]) -> None:
    policy, theirs = TrainablePolicy(spec(**EXACT), folders[name]), reference(folders[name])
    assert (policy.why_not_plain is None) == ZOO[name].plain, policy.why_not_plain
    engine = engine_for(policy)
    engine.load(policy.merged())
    longest = ZOO[name].prompt
    prompts = [Prompt(words(n, n), [1, 2, 3]) for n in (longest, max(1, longest // 2), longest)]
    answers = engine.generate(prompts, Sampling(max_tokens=20), [STOP])
    for prompt, completions in zip(prompts, answers, strict=True):
        for completion in completions:
            ids = torch.tensor([[*prompt.ids, *completion.token_ids]])
            with torch.no_grad():
                logprobs = theirs(ids).logits[0].log_softmax(-1)[len(prompt.ids) - 1 : -1]
            expected = logprobs.gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]
            assert torch.allclose(expected, torch.tensor(completion.logprobs), atol=1e-3), name


@pytest.mark.parametrize("name", ZOO)
def test_the_trainer_learns_what_autograd_says(name: str, folders: dict[str, Path]) -> None:
    job = spec(stage=Grpo(rounds=1, importance_cap=0), **EXACT)
    made, theirs = Trainer(job, TrainablePolicy(job, folders[name])), reference(folders[name])
    groups = some_groups(ZOO[name].prompt)
    tokens = sum(group.tokens for group in groups)
    made.accumulate(groups, PolicyGradient(job.stage, tokens, 1, 64))
    logprobs = made.compare(groups, made.policy.assemble(torch.float32, 1.0))
    for group in groups:
        for sample in group.samples:
            ids = torch.tensor([[*group.prompt_ids, *sample.completion_ids]])
            logits = theirs(ids).logits[0].log_softmax(-1)[len(group.prompt_ids) - 1 : -1]
            chosen = logits.gather(1, torch.tensor(sample.completion_ids)[:, None])[:, 0]
            assert torch.allclose(chosen, logprobs[id(sample)], atol=1e-3), name
            (-(chosen * sample.advantage).sum() / tokens).backward()
    grads = {key: p.grad if p.grad is not None else torch.zeros_like(p) for key, p in theirs.named_parameters()}
    expected = torch.cat([grads[key].flatten() for key in made.policy.parameters])
    assert float((made.gradient() - expected).norm() / expected.norm()) < 1e-4


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_sequences_beyond_what_positions_serve_are_refused(kind: str, tmp_path: Path) -> None:
    """By the trainer as by either engine: such positions change with the sequence's length."""
    factors = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8} if kind == "longrope" else {}
    rope = {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}
    llama(max_position_embeddings=32, rope_parameters=rope | factors).save_pretrained(tmp_path)
    job = spec(**EXACT)
    policy = TrainablePolicy(job, tmp_path)
    with pytest.raises(UsageError, match="longer than the 32"):
        Trainer(job, policy).accumulate(some_groups(40), PolicyGradient(job.stage, 9, 1, 64))
    for engine in (BuiltinEngine(policy.config, torch.float32), TransformersEngine(policy.module, torch.float32)):
        engine.load(policy.merged())
        engine.generate([Prompt(words(20, 1), [1])], Sampling(max_tokens=12), [STOP])
        with pytest.raises(UsageError, match="longer than the 32"):
            engine.generate([Prompt(words(20, 1), [1])], Sampling(max_tokens=13), [STOP])
