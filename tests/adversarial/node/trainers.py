"""Where lazy and hostile trainers are made: slots of real rounds, honest gradients of them, and what passes for one."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from r1net.protocol.gradients import GradientStatement, pack
from r1net.protocol.job import PolicyVersion
from r1net.protocol.trace import Trace
from r1net.protocol.work import TrainTask
from r1node.training import exact
from r1node.training.groups import training_groups
from r1node.training.objectives import PolicyGradient
from r1node.training.packing import Group
from r1node.training.sketch import sketch
from r1node.training.trainer import Trainer
from r1node.verification.recompute import FLOORS, away, deviation, usual_deviation
from tests.adversarial.node.workshop import JOB, WORKER, Workshop

SEED = "0x" + "5a" * 32
NOTHING = "0x" + "00" * 32


def nobody_waits() -> None:
    """A tick that abandons nothing."""


@dataclass(frozen=True)
class Verdict:
    """What recomputing a slot says of a claim."""

    deviation: float
    usual: float

    @property
    def guilty(self) -> bool:
        return away(self.deviation, self.usual, FLOORS["bfloat16"]) is not None


class Round:
    """A workshop's groups dealt to slots of `size` groups each, as one round."""

    def __init__(self, shop: Workshop, size: int) -> None:
        self.shop, self.size = shop, size
        self.traces = shop.traces(shop.sample())
        self.slots = range(len(shop.groups) // size)

    @property
    def objective(self) -> PolicyGradient:
        spec = self.shop.spec
        tokens = sum(len(trace.completion_ids) for trace in self.traces)
        return PolicyGradient(spec.stage, tokens, len(self.traces), spec.sampling.max_tokens, None)

    def groups(self, slot: int) -> list[Group]:
        """What a slot is to train on."""
        share = range(slot * self.size, (slot + 1) * self.size)
        return self.lesson([trace for trace in self.traces if trace.group in share])

    def lesson(self, traces: list[Trace]) -> list[Group]:
        task = TrainTask.model_construct(groups=None, reward_std=self.spread)
        return training_groups(traces, self.shop.spec, task)

    @cached_property
    def spread(self) -> float:
        return float(torch.tensor([trace.reward for trace in self.traces]).std())

    def gradient(self, groups: list[Group], dtype: torch.dtype = torch.float32, budget: int = 1024) -> Tensor:
        """The gradient of some groups, in a precision, in micro-batches of so many tokens."""
        made = Trainer(self.shop.spec, self.shop.policy, token_budget=budget, dtype=dtype)
        made.accumulate(groups, self.objective, nobody_waits)
        return made.gradient().clone()

    @cached_property
    def references(self) -> list[Tensor]:
        """What a verifier computes of each slot."""
        return [self.gradient(self.groups(slot)) for slot in self.slots]

    @cached_property
    def usual(self) -> list[float]:
        """What its control says of each slot."""
        trainer = Trainer(self.shop.spec, self.shop.policy)
        return [usual_deviation(trainer, self.groups(slot), self.objective, nobody_waits) for slot in self.slots]

    def judge(self, slot: int, claimed: Tensor) -> Verdict:
        """What a verifier makes of a claimed gradient."""
        return Verdict(deviation(self.references[slot], claim(claimed)), self.usual[slot])


def claim(gradient: Tensor, total: Tensor | None = None, seed: str = SEED) -> GradientStatement:
    """What a trainer states that computed this."""
    return GradientStatement(
        job_id=JOB,
        round=0,
        attempt=1,
        lease_id="lease",
        worker=WORKER,
        task=NOTHING,
        commitment=NOTHING,
        norm=exact.norm(gradient),
        seed=seed,
        sketch=packed(gradient, seed),
        total=packed(gradient if total is None else total, seed),
        version=PolicyVersion(number=1, policy=NOTHING, optimizer=NOTHING),
    )


def packed(gradient: Tensor, seed: str = SEED) -> str:
    """A gradient's sketch, as it is sent."""
    return pack(array("f", sketch(gradient, seed).tolist()))
