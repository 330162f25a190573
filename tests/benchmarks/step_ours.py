"""A whole GRPO step: sample, score, gradient, AdamW, weights back into the engine. Full weights."""

from __future__ import annotations

import sys

import torch
from transformers import AutoTokenizer

from r1net.protocol.files import FileRef
from r1net.protocol.job import Grpo, JobSpec, ModelRef, Optimizer, RewardSpec, Sampling
from r1net.protocol.problems import EnvironmentSpec
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Prompt
from r1node.training.advantages import advantages
from r1node.training.objectives import PolicyGradient
from r1node.training.packing import Group, Sample
from r1node.training.policy import TrainablePolicy
from r1node.training.trainer import Trainer
from tests.benchmarks.workload import (
    GROUP,
    LEARNING_RATE,
    MODEL,
    PROMPTS,
    STEPS,
    TOKENS,
    digits,
    measure,
    prompts,
    setup,
)

NOBODY = "0x" + "00" * 20


def specification(precision: str) -> JobSpec:
    """The job that TRL's configuration in step_trl.py describes."""
    file = FileRef(sha256="0x" + "00" * 32, size=1)
    names = ("config.json", "tokenizer.json", "model.safetensors")
    return JobSpec(
        name="bench",
        submitter=NOBODY,
        model=ModelRef(name="smollm2", files=dict.fromkeys(names, file)),
        environment=EnvironmentSpec(name="reasoning_gym:chain_sum"),
        rewards=(RewardSpec(name="correct"),),
        prompt="{question}",
        stop_token_ids=(0,),
        stage=Grpo(rounds=1, groups_per_round=PROMPTS, group_size=GROUP, loss="dapo"),
        sampling=Sampling(max_tokens=TOKENS),
        optimizer=Optimizer(learning_rate=LEARNING_RATE),
        dtype=precision,
        payment_token=NOBODY,
        budget=0,
    )


def main() -> None:
    """`python -m tests.benchmarks.step_ours bfloat16`"""
    setup()
    precision = sys.argv[1]
    spec = specification(precision)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    policy = TrainablePolicy(spec, MODEL)
    trainer = Trainer(spec, policy, dtype=getattr(torch, precision))
    engine = BuiltinEngine(policy.config, getattr(torch, precision))
    ids = [tokenizer(text).input_ids for text in prompts()]
    seeds = iter(range(10**9))

    def step() -> int:
        engine.load(policy.merged())
        batch = [Prompt(prompt, [next(seeds) for _ in range(GROUP)]) for prompt in ids]
        answers = engine.generate(batch, spec.sampling, [])
        rewards = torch.tensor([digits([tokenizer.decode(c.token_ids) for c in answer]) for answer in answers])
        values = advantages(rewards, "group", "group")
        groups = [
            Group(prompt, [Sample(c.token_ids, c.logprobs, float(v)) for c, v in zip(answer, row, strict=True)])
            for prompt, answer, row in zip(ids, answers, values, strict=True)
        ]
        tokens = sum(group.tokens for group in groups)
        engine.unload()
        trainer.accumulate(groups, PolicyGradient(spec.stage, tokens, PROMPTS * GROUP, TOKENS))
        trainer.step(trainer.gradient())
        return tokens

    measure(step, STEPS)


main()
