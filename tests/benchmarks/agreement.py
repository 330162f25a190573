"""How far the sampler's log-probabilities are from the trainer's: every engine and precision against plain forward
passes of transformers in fp32 and bf16, on completions that the engine itself drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from r1net.protocol.job import Sampling
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Completion, Prompt, RolloutEngine
from r1node.rollout.vllm.engine import VllmEngine
from r1node.rollout.vllm.environment import Environment
from tests.benchmarks.workload import GROUP, MODEL, ROOT, TOKENS, prompts, setup

PRECISIONS = (torch.bfloat16, torch.float32)


@dataclass(frozen=True)
class Agreement:
    """|Δ log-probability| in nats over all drawn tokens."""

    engine: str
    sampler: str
    trainer: str
    tokens: int
    mean: float
    p99: float
    largest: float


def measure(environment: Environment) -> list[Agreement]:
    """All pairs; vLLM's where `environment` is there."""
    setup()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    batch = [
        Prompt(tokenizer(text).input_ids, [number * GROUP + row for row in range(GROUP)])
        for number, text in enumerate(prompts())
    ]
    found = []
    for precision in PRECISIONS:
        found += _one("builtin", BuiltinEngine(AutoConfig.from_pretrained(MODEL), precision), precision, batch)
        if environment.variant is not None:
            folder = ROOT / "build" / "bench" / "vllm"
            engine = VllmEngine(AutoConfig.from_pretrained(MODEL), precision, "cpu", environment, folder)
            found += _one("vllm", engine, precision, batch)
            engine.close()
    return found


def _one(name: str, engine: RolloutEngine, precision: torch.dtype, batch: Sequence[Prompt]) -> list[Agreement]:
    engine.load(AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).state_dict())
    groups = engine.generate(batch, Sampling(max_tokens=TOKENS), [])
    sampled = torch.cat([torch.tensor(c.logprobs) for group in groups for c in group])
    answers = []
    for trainer in PRECISIONS:
        distance = (sampled - trainer_logprobs(trainer, batch, groups)).abs()
        answers.append(
            Agreement(
                engine=name,
                sampler=str(precision).removeprefix("torch."),
                trainer=str(trainer).removeprefix("torch."),
                tokens=len(distance),
                mean=float(distance.mean()),
                p99=float(distance.quantile(0.99)),
                largest=float(distance.max()),
            )
        )
    return answers


@torch.inference_mode()
def trainer_logprobs(dtype: torch.dtype, batch: Sequence[Prompt], groups: Sequence[Sequence[Completion]]) -> Tensor:
    """Of all completions' tokens, by plain forward passes with weights in `dtype` and a softmax in fp32."""
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=dtype).eval()
    picked = []
    for prompt, group in zip(batch, groups, strict=True):
        ids = torch.tensor([[*prompt.ids, *completion.token_ids] for completion in group])
        first = len(prompt.ids)
        logits = model(ids).logits[:, first - 1 : -1].float()
        picked.append(logits.log_softmax(-1).gather(-1, ids[:, first:, None]).flatten())
    return torch.cat(picked)


def table(found: Sequence[Agreement]) -> list[dict[str, object]]:
    """As JSON data."""
    return [asdict(one) for one in found]
