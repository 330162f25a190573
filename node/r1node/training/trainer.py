"""One trainer for every stage: accumulate the gradient of per-token coefficients, then take one optimizer step.

    trainer = Trainer(spec, TrainablePolicy(spec, model_dir))
    objective = PolicyGradient(spec.stage, round_tokens, round_sequences, spec.sampling.max_tokens)
    metrics = trainer.accumulate(groups, objective)   # the own share
    flat = trainer.gradient()                         # averaged with the other trainers
    trainer.step(flat)

An objective divides by what the whole round holds, so that the shares of any number of trainers add up to the gradient
of the round, however it was cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from r1net.protocol.architectures import require_length
from r1net.protocol.job import JobSpec
from r1node.models.precision import computing
from r1node.training.exact import AdamW, Moments, clip, norm
from r1node.training.head import Head, Pull, Scores, Teacher
from r1node.training.meters import Meters
from r1node.training.model import TrainingModel
from r1node.training.objectives import Objective, Tokens
from r1node.training.packing import Completions, Group
from r1node.training.policy import TrainablePolicy

Tick = Callable[[], None]

CPU_TOKENS, GPU_TOKENS = 1024, 32768
"""Tokens of a micro-batch: on a CPU more costs memory and gains little, a GPU needs wide products."""


class Trainer:
    """Gradient and AdamW for one job's policy.

    All gradients lie in one flat float32 buffer, in name order; the parameters' `.grad` are views of it. So the vector
    that is averaged with the peers is the one that backward filled, without a copy.
    """

    def __init__(
        self,
        spec: JobSpec,
        policy: TrainablePolicy,
        device: str = "cpu",
        token_budget: int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.policy = policy
        self.spec, self._device = spec, device
        self._budget = token_budget or (CPU_TOKENS if device == "cpu" else GPU_TOKENS)
        self.dtype = dtype or computing(device, spec.dtype)
        self._optimizer = AdamW(spec.optimizer)
        self._flat = torch.zeros(sum(p.numel() for p in policy.parameters.values()), device=device)
        offset = 0
        for parameter in policy.parameters.values():
            parameter.grad = self._flat[offset : offset + parameter.numel()].view(parameter.shape)
            offset += parameter.numel()

    @property
    def temperature(self) -> float:
        """At which the policy is sampled, and therefore trained."""
        return self.spec.sampling.temperature

    def accumulate(self, groups: Sequence[Group], objective: Objective, tick: Tick | None = None) -> dict[str, float]:
        """Set the gradient to that of the objective's loss on `groups`; to zeros where there are none.

        `tick` is called after each micro-batch; raising from it abandons the work. Returns metrics with TRL's names.
        Raises UsageError for sequences that are longer than the model's positions serve.
        """
        self._require_room(groups)
        self._flat.zero_()
        meters = Meters()
        model = self.policy.assemble(self.dtype, self.temperature)
        for batch in model.batches(groups, self._budget):
            with torch.no_grad():
                loss = self._take_up(model, objective, batch, meters)
            meters.total("loss", loss)
            if tick is not None:
                tick()
        return meters.result()

    def compare(self, groups: Sequence[Group], other: TrainingModel, tick: Tick | None = None) -> dict[int, Tensor]:
        """For each sample, by its `id`, the log-probabilities (T) that another policy gives to its tokens."""
        self._require_room(groups)
        found: dict[int, Tensor] = {}
        for batch in other.batches(groups, self._budget):
            with torch.no_grad():
                logprobs = _score(other, batch)[1].logprobs
            lengths = [len(sample.sampled) for sample in batch.samples]
            for sample, own in zip(batch.samples, logprobs.cpu().split(lengths), strict=True):
                found[id(sample)] = own
            if tick is not None:
                tick()
        return found

    def _require_room(self, groups: Sequence[Group]) -> None:
        """Raise UsageError for sequences that are longer than the model's positions serve."""
        lengths = [len(group.prompt_ids) + len(s.completion_ids) for group in groups for s in group.samples]
        require_length(self.policy.config.to_dict(), max(lengths, default=0))

    def gradient(self) -> Tensor:
        """The accumulated gradient as one flat float32 vector on the CPU. There it is the trainer's own buffer."""
        return self._flat.cpu()

    def step(self, gradient: Tensor) -> dict[str, float]:
        """Clip a flat gradient by its norm and apply one AdamW step. Raises FloatingPointError when it isn't finite.

        Every replica is given the same bytes and does the same arithmetic (`exact.py`), so replicas stay bit-identical.
        """
        size = norm(gradient)
        if not math.isfinite(size):
            raise FloatingPointError("the averaged gradient is not finite")
        if gradient is not self._flat:
            self._flat.copy_(gradient)
        clip(self._flat, size, self.spec.optimizer.max_grad_norm)
        rate = self.spec.optimizer.learning_rate * self._warmup()
        parameters = list(self.policy.parameters.values())
        self._optimizer.step(parameters, self._flat.split([p.numel() for p in parameters]), rate)
        return {"grad_norm": size, "learning_rate": rate}

    def save_optimizer(self) -> bytes:
        """AdamW's state as a safetensors file."""
        tensors = {"steps": torch.tensor([self._optimizer.steps], dtype=torch.int64)}
        for (name, parameter), moments in zip(self.policy.parameters.items(), self._optimizer.moments, strict=False):
            tensors[f"exp_avg.{name}"] = moments.first.cpu().view(parameter.shape)
            tensors[f"exp_avg_sq.{name}"] = moments.second.cpu().view(parameter.shape)
        return bytes(save_safetensors(tensors))

    def load_optimizer(self, data: bytes) -> None:
        """Take the state of a file written by `save_optimizer`."""
        self._optimizer.steps, self._optimizer.moments = self.read_optimizer(data)

    def read_optimizer(self, data: bytes) -> tuple[int, list[Moments]]:
        """The steps and the moments of a file written by `save_optimizer`."""
        tensors = load_safetensors(data)
        moments = [
            Moments(*(tensors[f"{kind}.{name}"].to(self._device).flatten() for kind in ("exp_avg", "exp_avg_sq")))
            for name in self.policy.parameters
            if f"exp_avg.{name}" in tensors
        ]
        return int(tensors["steps"][0]), moments

    @property
    def moments(self) -> list[Moments]:
        """AdamW's, as the last step left them: zeros before the first."""
        zeros = (torch.zeros(p.numel(), device=self._device) for p in self.policy.parameters.values())
        return self._optimizer.moments or [Moments(zero, zero.clone()) for zero in zeros]

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self._optimizer.steps

    def next_parameters(self, moments: Sequence[Moments]) -> dict[str, Tensor]:
        """What the parameters are after the next step, if it leaves `moments`."""
        made = {name: parameter.clone() for name, parameter in self.policy.parameters.items()}
        rate = self.spec.optimizer.learning_rate * self._warmup()
        self._optimizer.repeat(list(made.values()), moments, rate)
        return made

    @contextmanager
    def computing_in(self, dtype: torch.dtype) -> Iterator[None]:
        """Compute in another precision for a while."""
        usual, self.dtype = self.dtype, dtype
        try:
            yield
        finally:
            self.dtype = usual

    def _warmup(self) -> float:
        rounds = self.spec.optimizer.warmup_rounds
        return min(1.0, (self._optimizer.steps + 1) / rounds) if rounds else 1.0

    def _take_up(self, model: TrainingModel, objective: Objective, batch: Completions, meters: Meters) -> float:
        """One micro-batch: forward, a coefficient for each token, backward. Returns its part of the loss."""
        real = batch.mask_NT.bool()
        targets = batch.target_NT[real]
        hidden, tape = model.forward(batch)
        scores = model.head.forward(hidden, targets)
        meters.tokens(scores, batch.sampler_NT[real])
        pull, other = self._other(objective, model.head, batch, hidden, scores)
        logprobs = _spread(scores.logprobs, batch.mask_NT).requires_grad_()
        with torch.enable_grad():
            tokens = Tokens(logprobs, batch.sampler_NT, batch.advantages_N, batch.mask_NT, other)
            loss = objective.loss(tokens, meters)
            (coefficients,) = torch.autograd.grad(loss, logprobs)
        model.backward(tape, model.head.backward(hidden, targets, scores, coefficients[real], pull))
        if pull is None:
            return float(loss.detach())
        meters.add("kl", float(pull.divergence.sum()), len(targets))
        return float(loss.detach() + pull.divergence @ pull.shares)

    def _other(
        self, objective: Objective, head: Head, batch: Completions, hidden: Tensor, scores: Scores
    ) -> tuple[Pull | None, Tensor | None]:
        """What the objective wants of the policy it compares with: a divergence, or log-probabilities (N, T)."""
        if objective.other is None:
            return None, None
        if objective.divergence is None:
            return None, _spread(_score(objective.other, batch)[1].logprobs, batch.mask_NT)
        theirs, their_scores = _score(objective.other, batch)
        teacher = Teacher(objective.other.head, theirs, their_scores.normalisers)
        divergence = head.diverge(hidden, scores, teacher, objective.divergence)
        shares = objective.token_share(batch.mask_NT)[batch.mask_NT.bool()]
        return Pull(objective.divergence, teacher, divergence, shares), None


def _score(model: TrainingModel, batch: Completions) -> tuple[Tensor, Scores]:
    """What a frozen policy makes of the micro-batch's tokens: its states, and its scores of them."""
    hidden, _ = model.forward(batch)
    return hidden, model.head.forward(hidden, batch.target_NT[batch.mask_NT.bool()])


def _spread(values_M: Tensor, mask_NT: Tensor) -> Tensor:
    """Values of the real tokens as a table (N, T), zero on padding."""
    return torch.zeros_like(mask_NT).masked_scatter(mask_NT.bool(), values_M)
