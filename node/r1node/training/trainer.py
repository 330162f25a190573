"""One trainer for every stage: accumulate the gradient of per-token coefficients, then take one optimizer step.

    trainer = Trainer(spec, TrainablePolicy(spec, model_dir))
    metrics = trainer.accumulate(groups, tokens=round_tokens)   # the own share
    flat = trainer.gradient()                                   # averaged with the other trainers
    trainer.step(flat)

The gradient is that of the sum over the own share divided by the whole round's tokens, so that the shares of any
number of trainers add up to the gradient of the round, however it was cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from r1net.protocol.job import JobSpec
from r1node.training.importance import importance_weights
from r1node.training.logprobs import selected_logprobs
from r1node.training.losses import kl_estimate, policy_loss, token_weights
from r1node.training.meters import Meters
from r1node.training.packing import Batch, Group, micro_batches, pack
from r1node.training.policy import TrainablePolicy

Tick = Callable[[], None]

CPU_TOKENS, GPU_TOKENS = 1024, 32768
"""Padded tokens of a micro-batch: on a CPU more costs memory and gains nothing, a GPU needs wide products."""

NORM_CHUNK = 2**15
"""Values summed at a time for the gradient's norm: too few for a threaded reduction, whose order would differ."""


class Trainer:
    """Gradient and AdamW for one job's policy.

    All gradients lie in one flat float32 buffer, in name order; the parameters' `.grad` are views of it. So the vector
    that is averaged with the peers is the one that backward filled, without a copy.
    """

    def __init__(
        self, spec: JobSpec, policy: TrainablePolicy, device: str = "cpu", token_budget: int | None = None
    ) -> None:
        self.policy = policy
        self._spec, self._device = spec, device
        self._budget = token_budget or (CPU_TOKENS if device == "cpu" else GPU_TOKENS)
        self._steps = 0
        self._autocast = torch.bfloat16 if has_fast_bf16(device) else None
        options = spec.optimizer
        self._optimizer = torch.optim.AdamW(
            list(policy.parameters.values()),
            lr=options.learning_rate,
            betas=options.betas,
            eps=options.eps,
            weight_decay=options.weight_decay,
            fused=True,
        )
        self._flat = torch.zeros(sum(p.numel() for p in policy.parameters.values()), device=device)
        offset = 0
        for parameter in policy.parameters.values():
            parameter.grad = self._flat[offset : offset + parameter.numel()].view(parameter.shape)
            offset += parameter.numel()

    def accumulate(self, groups: Sequence[Group], tokens: int, tick: Tick | None = None) -> dict[str, float]:
        """Set the gradient to that of `groups`; to zeros where there are none.

        `tokens`: completion tokens of the whole round, all trainers. `tick` is called after each micro-batch; raising
        from it abandons the work. Returns metrics with TRL's names.
        """
        self.policy.model.train()
        self._flat.zero_()
        meters = Meters()
        for batch in micro_batches(groups, self._budget):
            loss = self._loss(pack(batch, self._device), tokens, meters)
            loss.backward()
            meters.add("loss", float(loss.detach()) * tokens, tokens)
            if tick is not None:
                tick()
        return meters.result()

    def gradient(self) -> Tensor:
        """The accumulated gradient as one flat float32 vector on the CPU. There it is the trainer's own buffer."""
        return self._flat.cpu()

    def step(self, gradient: Tensor) -> dict[str, float]:
        """Clip a flat gradient by its norm and apply one AdamW step. Raises FloatingPointError when it isn't finite.

        Every replica is given the same bytes and does the same arithmetic, so replicas stay bit-identical.
        """
        norm = stable_norm(gradient)
        if not math.isfinite(norm):
            raise FloatingPointError("the averaged gradient is not finite")
        if gradient is not self._flat:
            self._flat.copy_(gradient)
        self._flat *= min(1.0, self._spec.optimizer.max_grad_norm / (norm + 1e-6))
        rate = self._spec.optimizer.learning_rate * self._warmup()
        for options in self._optimizer.param_groups:
            options["lr"] = rate
        self._optimizer.step()
        self._steps += 1
        return {"grad_norm": norm, "learning_rate": rate}

    def save_optimizer(self) -> bytes:
        """AdamW's state as a safetensors file."""
        tensors = {"steps": torch.tensor([self._steps], dtype=torch.int64)}
        for name, parameter in self.policy.parameters.items():
            state = self._optimizer.state.get(parameter)
            if state:
                tensors[f"exp_avg.{name}"] = state["exp_avg"].cpu().contiguous()
                tensors[f"exp_avg_sq.{name}"] = state["exp_avg_sq"].cpu().contiguous()
        return bytes(save_safetensors(tensors))

    def load_optimizer(self, data: bytes) -> None:
        """Take the state of a file written by `save_optimizer`."""
        tensors = load_safetensors(data)
        self._steps = int(tensors["steps"][0])
        for name, parameter in self.policy.parameters.items():
            if f"exp_avg.{name}" in tensors:
                self._optimizer.state[parameter] = {
                    "step": torch.tensor(float(self._steps)),
                    "exp_avg": tensors[f"exp_avg.{name}"].to(parameter.device),
                    "exp_avg_sq": tensors[f"exp_avg_sq.{name}"].to(parameter.device),
                }

    def _warmup(self) -> float:
        rounds = self._spec.optimizer.warmup_rounds
        return min(1.0, (self._steps + 1) / rounds) if rounds else 1.0

    def _loss(self, batch: Batch, tokens: int, meters: Meters) -> Tensor:
        """The micro-batch's part of the round's loss."""
        stage, mask = self._spec.stage, batch.mask_NT
        logprobs, entropy = self._logprobs(batch, reference=False)
        old = logprobs.detach()  # one update a round: the policy that is trained is the one that sampled
        weights = importance_weights(
            old, batch.sampler_NT, mask, stage.importance, stage.importance_mode, stage.importance_cap
        )
        loss = policy_loss(stage, logprobs, old, batch.advantages_N, mask) * weights
        real = mask.bool()
        meters.tokens(old[real], batch.sampler_NT[real], weights[real], entropy)
        if stage.kl_coef:
            with torch.no_grad():
                reference, _ = self._logprobs(batch, reference=True)
            divergence = kl_estimate(logprobs, reference, stage.kl_estimator)
            meters.add("kl", float((divergence.detach() * mask).sum()), float(mask.sum()))
            loss = loss + stage.kl_coef * divergence
        sequences = stage.groups_per_round * stage.group_size
        share = token_weights(stage.loss, mask, tokens, sequences, self._spec.sampling.max_tokens)
        return (loss * share).sum()

    def _logprobs(self, batch: Batch, reference: bool) -> tuple[Tensor, Tensor]:
        """Log-probabilities (N, T), zero on padding, and the entropy at each real token (M,)."""
        real = batch.mask_NT.bool()
        model = self.policy.reference if reference else self.policy
        with torch.autocast(self._device.split(":")[0], dtype=self._autocast, enabled=self._autocast is not None):
            hidden = model.hidden(batch.ids_BL, batch.positions_BL, batch.attention_B1LL)
        flat = hidden.flatten(0, 1)[batch.source_NT[real]]
        if self._autocast is not None:
            flat = flat.to(self._autocast)
        chosen, entropy = selected_logprobs(
            flat, batch.target_NT[real], model.output_embedding, self._spec.sampling.temperature
        )
        return torch.zeros_like(batch.mask_NT).masked_scatter(real, chosen), entropy


def stable_norm(vector: Tensor) -> float:
    """L2 norm, the same for the same values whatever the number of threads, rounded to float32."""
    total = math.fsum(float(chunk.double().square().sum()) for chunk in vector.split(NORM_CHUNK))
    return float(torch.tensor(math.sqrt(total), dtype=torch.float32))


def has_fast_bf16(device: str) -> bool:
    """Whether bf16 products are native: on a GPU, or on a CPU with AMX or AVX512-BF16 (elsewhere they are emulated)."""
    return device != "cpu" or bool(
        torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
