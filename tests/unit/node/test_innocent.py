"""Honest work on every family that is supported is found innocent, whoever sampled it, in whichever precision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoModelForCausalLM

from r1net.environments import sampling_seed
from r1net.protocol.job import Evaluation, Grpo, JobSpec, Precision, Sampling
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.trace import Trace
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Completion, Prompt
from r1node.rollout.noise import Noise
from r1node.rollout.sampler import sample
from r1node.rollout.transformers import TransformersEngine
from r1node.sandbox import job_scorer
from r1node.training.policy import TrainablePolicy
from r1node.verification.judge import FEWEST_TOKENS, judge_work
from r1node.verification.replay import Replayer
from tests.sandbox import SANDBOX
from tests.unit.node.models import STOP, VOCABULARY
from tests.unit.node.test_training import NOBODY, spec
from tests.unit.node.zoo import ZOO

GROUPS, SIZE, TOKENS = 4, 4, 30
JOB = "0x" + "11" * 32


def write_tokenizer(folder: Path) -> None:
    """A letter a token, as many as the models have."""
    letters = ["?", "<end>", *"abcdefghijklmnopqrstuvwxyz0123456789 .,:=+-*/()"]
    letters += [f"<{number}>" for number in range(VOCABULARY - len(letters))]
    tokenizer = Tokenizer(models.WordLevel({letter: n for n, letter in enumerate(letters)}, unk_token="?"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.save(str(folder / "tokenizer.json"))


def job(dtype: Precision) -> JobSpec:
    return spec(
        stage=Grpo(rounds=1, group_size=SIZE, groups_per_round=GROUPS),
        sampling=Sampling(max_tokens=TOKENS),
        environment=EnvironmentSpec(name="reasoning_gym:basic_arithmetic", config={"min_terms": 3, "max_terms": 3}),
        evaluation=Evaluation(problems=1),
        dtype=dtype,
    )


def by_hand(folder: Path, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Completion]]:
    """transformers without a cache: each token from a pass over everything before it."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    answers = []
    for prompt in prompts:
        rows = torch.tensor([list(prompt.ids)] * len(prompt.seeds))
        noise, said = Noise(prompt.seeds, model.config.vocab_size), []
        for t in range(sampling.max_tokens):
            with torch.no_grad():
                tokens, logprobs = sample(model(rows).logits[:, -1], noise.at(torch.arange(len(rows)), t), sampling)
            rows, said = torch.cat((rows, tokens[:, None]), 1), [*said, logprobs]
        answers.append([_cut(r, s) for r, s in zip(rows[:, len(prompt.ids) :], torch.stack(said, 1), strict=True)])
    return answers


def _cut(ids: torch.Tensor, logprobs: torch.Tensor) -> Completion:
    tokens = ids.tolist()
    length = tokens.index(STOP) + 1 if STOP in tokens else len(tokens)
    return Completion(tokens[:length], logprobs[:length].tolist(), "stop" if STOP in tokens else "length")


def by_engine(spec: JobSpec, folder: Path, prompts: Sequence[Prompt], dtype: torch.dtype) -> list[list[Completion]]:
    """What a host's engine makes of them."""
    policy = TrainablePolicy(spec, folder)
    plain = policy.why_not_plain is None
    engine = BuiltinEngine(policy.config, dtype) if plain else TransformersEngine(policy.module, dtype)
    engine.load(policy.merged())
    return engine.generate(prompts, spec.sampling, [STOP])


def elsewhere(spec: JobSpec, folder: Path, prompts: Sequence[Prompt]) -> list[list[Completion]]:
    """A host with the oldest of instruction sets, and two threads."""
    task = {"spec": spec.model_dump_json(), "folder": str(folder), "prompts": [[p.ids, p.seeds] for p in prompts]}
    env = os.environ | {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-m", "tests.unit.node.test_innocent"]
    done = subprocess.run(command, input=json.dumps(task), env=env, capture_output=True, text=True, check=True)
    return [[Completion(*row) for row in group] for group in json.loads(done.stdout.splitlines()[-1])]


def _host() -> None:
    """The other side of `elsewhere`."""
    task = json.loads(sys.stdin.read())
    prompts = [Prompt(ids, seeds) for ids, seeds in task["prompts"]]
    answers = by_engine(JobSpec.parse(task["spec"]), Path(task["folder"]), prompts, torch.float32)
    print(json.dumps([[[c.token_ids, c.logprobs, c.finish_reason] for c in group] for group in answers]))


def handed_in(prompts: Sequence[Prompt], answers: Sequence[Sequence[Completion]]) -> list[Trace]:
    """What a host hands in for its first groups."""
    return [
        Trace(
            job_id=JOB,
            split="train",
            round=0,
            group=group,
            index=index,
            policy=JOB,
            worker=NOBODY,
            prompt_ids=tuple(prompt.ids),
            completion_ids=tuple(made.token_ids),
            logprobs=tuple(min(0.0, value) for value in made.logprobs),
            reward_parts={},
            reward=0.0,
            finish_reason=made.finish_reason,
            seed=prompt.seeds[index],
            given=made.given,
        )
        for group, (prompt, row) in enumerate(zip(prompts, answers, strict=True))
        for index, made in enumerate(row)
    ]


def verdict(spec: JobSpec, folder: Path, sampler: str) -> tuple[int, tuple[str, ...]]:
    """Tokens judged, and what is found against the work."""
    replayer = Replayer(spec, folder, job_scorer(SANDBOX, spec, folder))
    replayer.load()
    canonical = replayer.scorer.prompts([("train", 0, group) for group in range(GROUPS)])
    prompts = [
        Prompt(prompt.ids, [sampling_seed(spec, "train", 0, group, index) for index in range(SIZE)])
        for group, prompt in enumerate(canonical)
    ]
    if sampler == "by hand":
        answers = by_hand(folder, prompts, spec.sampling)
    elif sampler == "old machine":
        answers = elsewhere(spec, folder, prompts)
    else:
        answers = by_engine(spec, folder, prompts, torch.float32 if sampler == "fp32" else torch.bfloat16)
    traces = handed_in(prompts, answers)
    found = judge_work(replayer.replay(traces)).finding
    return found.tokens, found.faults


@pytest.mark.parametrize(("dtype", "sampler"), [("float32", "fp32"), ("bfloat16", "bf16"), ("bfloat16", "fp32")])
@pytest.mark.parametrize("name", ZOO)
def test_what_the_engines_sample(name: str, dtype: Precision, sampler: str, tmp_path: Path) -> None:
    ZOO[name].make().save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    tokens, faults = verdict(job(dtype), tmp_path, sampler)
    assert faults == ()
    assert tokens >= FEWEST_TOKENS / 2


FORMERLY_CONVICTED = ["llama, gelu", "mistral, window of 16", "gemma 3", "granite", "phi, biased head"]


@pytest.mark.parametrize("name", FORMERLY_CONVICTED)
def test_what_transformers_samples_without_a_cache(name: str, tmp_path: Path) -> None:
    ZOO[name].make().save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    assert verdict(job("float32"), tmp_path, "by hand")[1] == ()


@pytest.mark.parametrize("name", ["llama, tied", "qwen3", "gemma 3"])
def test_what_an_older_machine_samples(name: str, tmp_path: Path) -> None:
    ZOO[name].make().save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    assert verdict(job("bfloat16"), tmp_path, "old machine")[1] == ()


if __name__ == "__main__":
    _host()
