"""Before any work on a job: does this host compute its model as the model's own code does?

Two prompts, a short one and one long enough for what the model does with length, are continued by the engine; what it
says of its tokens, and what the trainer says of them, is held against transformers' forward pass in float32, a sequence
at a time without padding; and the trainer's gradient against autograd's. Nothing of ours is in the reference but the
weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from r1net.errors import UsageError
from r1net.protocol.architectures import longest_sequence
from r1net.protocol.job import Sampling
from r1net.protocol.seeds import derive_seed
from r1net.weights.peft_names import pair
from r1node.rollout.engine import Prompt, RolloutEngine
from r1node.rollout.sampler import LEAST_SPREAD, spread
from r1node.training.objectives import CrossEntropy
from r1node.training.packing import Group, Sample
from r1node.training.policy import TrainablePolicy
from r1node.training.trainer import Trainer

SHORT, LONG, TOKENS, SEEDS = 8, 96, 8, 2
"""Prompt tokens of the two sequences where no window asks for more; tokens and completions of each."""

LONGEST = 512
"""Prompt tokens at most, whatever window a stranger's configuration names: the reference keeps every layer's scores."""

BEYOND = 16
"""Tokens by which the long prompt outgrows an attention window, where the job's sequences do."""


@dataclass(frozen=True)
class Limits:
    """Log-probabilities may be off by `nats` plus `spreads` of a token, the gradient by `gradient` of its norm."""

    nats: float
    spreads: float
    gradient: float


EXACT, ROUNDED = Limits(5e-3, 0.0, 1e-2), Limits(0.02, 1.5, 0.35)
"""In float32, where honest kernels came to 1e-5 nats and 1e-5 of the gradient; in bfloat16, where honest work came to
0.95 spreads (`r1node.verification.judge`)."""


@dataclass(frozen=True)
class SelfCheck:
    """How far engine and trainer were off at most, as shares of what they may be (1 = the limit), and in nats; the
    gradient relative to its norm."""

    engine: float
    trainer: float
    gradient: float
    engine_nats: float
    trainer_nats: float

    def __str__(self) -> str:
        return (
            f"off by at most {self.engine_nats:.2g} nats (engine), {self.trainer_nats:.2g} nats (trainer), "
            f"{self.gradient:.2g} of the gradient"
        )


def check(policy: TrainablePolicy, trainer: Trainer, engine: RolloutEngine, prompt_tokens: int) -> SelfCheck:
    """Compare at the version that the policy holds; the engine holds it afterwards. `prompt_tokens`: of a usual prompt
    of the job. Raises UsageError with the figures when this host would compute the model wrongly."""
    limits = EXACT if trainer.dtype == torch.float32 else ROUNDED
    groups = _sampled(policy, trainer, engine, prompt_tokens)
    said = trainer.compare(groups, policy.assemble(trainer.dtype, trainer.temperature))
    trainer.accumulate(groups, CrossEntropy(sum(group.tokens for group in groups)))
    reference = policy.computing_copy(torch.float32)
    own = _Comparison(policy, reference, limits)
    own.run(groups, said, trainer.temperature)
    found = own.result()
    wrong = {"engine": found.engine, "trainer": found.trainer, "gradient": found.gradient / limits.gradient}
    bad = [name for name, share in wrong.items() if not share <= 1.0]
    if bad:
        raise UsageError(
            f"this host computes the model wrongly ({', '.join(bad)}): {found}",
            hint="try engine = builtin; report the model and these figures",
        )
    return found


def _sampled(policy: TrainablePolicy, trainer: Trainer, engine: RolloutEngine, prompt_tokens: int) -> list[Group]:
    """Groups whose samplers' log-probabilities are the engine's."""
    spec = trainer.spec
    lengths = (SHORT, _long(policy.config, prompt_tokens + spec.sampling.max_tokens))
    seeds = range(1, SEEDS + 1)
    prompts = [Prompt(_words(policy.config.vocab_size, length), list(seeds)) for length in lengths]
    engine.load(policy.merged())
    answers = engine.generate(prompts, Sampling(max_tokens=TOKENS), spec.stop_token_ids)
    return [
        Group(prompt.ids, [Sample(made.token_ids, made.logprobs, 1.0) for made in completions])
        for prompt, completions in zip(prompts, answers, strict=True)
    ]


def _long(config: Any, job: int) -> int:
    """Prompt tokens of the long sequence, for a job whose sequences have about `job` tokens."""
    window = getattr(config, "sliding_window", None)
    wanted = min(window + BEYOND, LONGEST) if window is not None and window < job else LONG
    return max(SHORT, min(wanted, longest_sequence(config.to_dict()) - TOKENS))


def _words(vocabulary: int, length: int) -> list[int]:
    stream = np.random.Generator(np.random.Philox(key=derive_seed(0, "selfcheck", length)))
    return [int(token) for token in stream.integers(0, vocabulary, length)]


class _Comparison:
    """The reference's run over the sequences. Gradients are compared as they come, and freed."""

    def __init__(self, policy: TrainablePolicy, module: Any, limits: Limits) -> None:
        self._policy, self._module, self._limits = policy, module, limits
        self._error = self._norm = 0.0
        self._missing = set(policy.parameters)
        self._off = {"engine": (0.0, 0.0), "trainer": (0.0, 0.0)}
        for name, parameter in module.named_parameters():
            wanted = [key for key in (name, *pair(name.removesuffix(".weight"))) if key in policy.parameters]
            parameter.requires_grad_(bool(wanted))
            if wanted:
                parameter.register_post_accumulate_grad_hook(self._compare(name, wanted))

    def run(self, groups: Sequence[Group], said: dict[int, Tensor], temperature: float) -> None:
        """Forward and backward; `said` is what the trainer says of the samples' tokens, by their `id`."""
        device = next(self._module.parameters()).device
        tokens, loss = sum(group.tokens for group in groups), torch.zeros((), device=device)
        for group in groups:
            for sample in group.samples:
                ids = torch.tensor([[*group.prompt_ids, *sample.completion_ids]], device=device)
                logits = self._module(input_ids=ids, use_cache=False).logits[0, len(group.prompt_ids) - 1 : -1].float()
                chosen = torch.tensor(list(sample.completion_ids), device=device)[:, None]
                shaped = (logits / (temperature or 1.0)).log_softmax(-1)
                self._note("engine", logits.detach().log_softmax(-1), chosen, torch.tensor(sample.sampler_logprobs))
                self._note("trainer", shaped.detach(), chosen, said[id(sample)])
                loss = loss - shaped.gather(1, chosen).sum() / tokens
        loss.backward()
        for name in self._missing:
            self._add(name, None)

    def _note(self, who: str, logprobs: Tensor, chosen: Tensor, claimed: Tensor) -> None:
        own = logprobs.gather(1, chosen)[:, 0]
        spreads = spread(own, logprobs.exp()) + LEAST_SPREAD
        off = (own.cpu() - claimed.cpu()).abs()
        shares = off / (self._limits.nats + self._limits.spreads * spreads.cpu())
        most, nats = self._off[who]
        self._off[who] = (_largest(most, shares), _largest(nats, off))

    def _compare(self, name: str, wanted: Sequence[str]) -> Callable[[Tensor], None]:
        def take(parameter: Tensor) -> None:
            gradient = parameter.grad
            assert gradient is not None
            expected = [gradient] if wanted == [name] else self._by_pair(gradient, wanted)
            for key, reference in zip(wanted, expected, strict=True):
                self._add(key, reference)
            self._missing.difference_update(wanted)
            parameter.grad = None

        return take

    def _add(self, name: str, reference: Tensor | None) -> None:
        """None where the reference has no gradient, and so none is right."""
        made = self._policy.parameters[name].grad
        assert made is not None
        right = torch.zeros_like(made) if reference is None else reference
        self._error += float((made - right).double().square().sum())
        self._norm += float(right.double().square().sum())

    def _by_pair(self, gradient: Tensor, names: Sequence[str]) -> list[Tensor]:
        """By A and B, through W + s·B·A."""
        assert self._policy.lora is not None
        low, high = (self._policy.parameters[name] for name in names)
        scale = self._policy.lora.scale
        return [(high.T @ gradient) * scale, (gradient @ low.T) * scale]

    def result(self) -> SelfCheck:
        """The figures."""
        (engine, engine_nats), (trainer, trainer_nats) = self._off["engine"], self._off["trainer"]
        gradient = (self._error / self._norm) ** 0.5 if self._norm else self._error
        return SelfCheck(engine, trainer, gradient, engine_nats, trainer_nats)


def _largest(before: float, values: Tensor) -> float:
    """NaN counts as the largest of all."""
    worst = float(values.max())
    return worst if math.isnan(worst) else max(before, worst)
