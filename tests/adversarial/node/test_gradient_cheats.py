"""Which gradients a drawn verifier takes for the slot's, and which not: every cheat that saves a trainer its work or
moves the policy elsewhere, beside honest work in other precisions and batch shapes.

    pytest -s tests/adversarial/node/test_gradient_cheats.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from r1net.protocol.gradients import BUCKETS
from r1net.protocol.job import Optimizer
from r1node.training.exact import norm
from r1node.training.policy import load_policy
from r1node.training.sketch import sketch
from r1node.training.trainer import Trainer
from r1node.verification import transition
from tests.adversarial.node.trainers import SEED, Round, Verdict, claim
from tests.adversarial.node.workshop import Workshop
from tests.e2e.demo.profiles import TINY

BUILD = Path(__file__).resolve().parents[3] / "build" / "models"
Make = Callable[[Round, int], Tensor]


@pytest.fixture(scope="module")
def round_() -> Round:
    return Round(Workshop(TINY, TINY.model(BUILD / "tiny"), submissions=8, bundle=16), size=16)


def bf16(made: Round, slot: int) -> Tensor:
    return made.gradient(made.groups(slot), torch.bfloat16)


def other_batches(made: Round, slot: int) -> Tensor:
    return made.gradient(made.groups(slot), budget=128)


def bf16_in_other_batches(made: Round, slot: int) -> Tensor:
    return made.gradient(made.groups(slot)[::-1], torch.bfloat16, budget=96)


def two_threads(made: Round, slot: int) -> Tensor:
    torch.set_num_threads(2)
    try:
        return made.gradient(made.groups(slot))
    finally:
        torch.set_num_threads(1)


def zeros(made: Round, slot: int) -> Tensor:
    return torch.zeros_like(made.references[slot])


def another_slot(made: Round, slot: int) -> Tensor:
    """Also what the last round's gradient is: one of other completions."""
    return made.references[(slot + 1) % len(made.slots)]


def the_sum(made: Round, slot: int) -> Tensor:
    """What who waits for the outcome can work out, and repeat."""
    return torch.stack(made.references).sum(0)


def half(made: Round, slot: int) -> Tensor:
    groups = made.groups(slot)
    return made.gradient(groups[: len(groups) // 2])


def one_group_left_out(made: Round, slot: int) -> Tensor:
    return made.gradient(made.groups(slot)[:-1])


def scaled(made: Round, slot: int) -> Tensor:
    return made.references[slot] * 1000


def a_little_more(made: Round, slot: int) -> Tensor:
    return made.references[slot] * 1.3


def flipped(made: Round, slot: int) -> Tensor:
    return -made.references[slot]


def noise(made: Round, slot: int) -> Tensor:
    """Of the same norm: what a norm alone doesn't show."""
    drawn = torch.randn(made.references[slot].shape, generator=torch.Generator().manual_seed(slot))
    return drawn * (norm(made.references[slot]) / norm(drawn))


def poisoned(made: Round, slot: int) -> Tensor:
    """The honest gradient with a push of its own size towards something else."""
    return made.references[slot] + noise(made, slot)


def shares(made: Round, make: Make) -> tuple[float, list[Verdict]]:
    verdicts = [made.judge(slot, make(made, slot)) for slot in made.slots]
    caught = sum(verdict.guilty for verdict in verdicts) / len(verdicts)
    far, usual = (
        sum(values) / len(verdicts) for values in zip(*((v.deviation, v.usual) for v in verdicts), strict=True)
    )
    print(f"\n{make.__name__:22} caught {caught:6.1%}  deviation {far:.2e}  honest bf16 {usual:.2e}", end="")
    return caught, verdicts


@pytest.mark.parametrize("make", [bf16, other_batches, bf16_in_other_batches, two_threads])
def test_honest_gradients_hold(round_: Round, make: Make) -> None:
    assert shares(round_, make)[0] == 0


@pytest.mark.parametrize("make", [zeros, another_slot, the_sum, half, scaled, a_little_more, flipped, noise, poisoned])
def test_cheats_are_caught(round_: Round, make: Make) -> None:
    assert shares(round_, make)[0] == 1


def test_a_sixteenth_of_the_work_left_out(round_: Round) -> None:
    """It is seen where the group that is left out weighs more than others do, in a job whose weights are bfloat16."""
    assert shares(round_, one_group_left_out)[0] >= 0.25


def test_whoever_knows_the_seed_before_can_lie(round_: Round) -> None:
    """Why the seed is drawn afterwards: a vector that its sketch doesn't see, added to a gradient, is seen with any
    other seed."""
    reference = round_.references[0]
    unseen = torch.zeros_like(reference)
    unseen[:BUCKETS] = norm(reference)
    lie = reference + unseen - _unseen_beside(torch.from_numpy(sketch(unseen, SEED)), len(reference))
    for seed, apart in ((SEED, 0.0), ("0x" + "77" * 32, 64.0)):
        seen = np.linalg.norm(sketch(lie, seed) - sketch(reference, seed)) / norm(reference)
        assert seen == pytest.approx(apart, rel=0.5, abs=1e-3)


def _unseen_beside(wanted: Tensor, size: int) -> Tensor:
    """A vector of nothing but a second row, which has that sketch with the known seed."""
    probe = torch.zeros(size)
    probe[BUCKETS : 2 * BUCKETS] = torch.arange(1, BUCKETS + 1)
    seen = torch.from_numpy(sketch(probe, SEED))
    probe[BUCKETS + seen.abs().round().long() - 1] = wanted * seen.sign()
    return probe


class Stepping:
    """A trainer before a step, and the files that the step left."""

    def __init__(self, shop: Workshop, steps: int) -> None:
        self.shop = shop
        self.spec = shop.spec.model_copy(update={"optimizer": Optimizer(learning_rate=1e-4, weight_decay=0.01)})
        self.before, self.after = (self.fresh() for _ in range(2))
        size = len(self.before.gradient())
        self.gradient = torch.zeros(size)
        for step in range(steps + 1):
            self.gradient = torch.randn(size, generator=torch.Generator().manual_seed(step)) * 10.0 ** (step % 3 - 3)
            for trainer in (self.before, self.after) if step < steps else (self.after,):
                trainer.step(self.gradient.clone())

    def fresh(self) -> Trainer:
        """A trainer at version 0."""
        return Trainer(self.spec, load_policy(self.spec, TINY.model(BUILD / "tiny")))

    def fault(
        self, policy: bytes | None = None, optimizer: bytes | None = None, total: Tensor | None = None
    ) -> str | None:
        said = claim(self.gradient, self.gradient if total is None else total)
        files = policy or self.after.policy.save(), optimizer or self.after.save_optimizer()
        return transition.fault_of(self.before, said, *files)


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_an_honest_step_leads_to_its_version(round_: Round, steps: int) -> None:
    made = Stepping(round_.shop, steps)
    assert made.fault() is None


def test_a_version_that_its_sum_does_not_lead_to(round_: Round) -> None:
    """One weight changed in its last bit; the moments of another step; a step with another sum, or with a tenth of it;
    second moments that make single weights jump."""
    made = Stepping(round_.shop, 3)
    parameter = next(iter(made.after.policy.parameters.values()))
    kept = parameter.view(-1)[7].clone()
    parameter.view(-1)[7] = torch.nextafter(kept, torch.tensor(9.0))
    assert made.fault(policy=made.after.policy.save()) == "the weights do not follow from the moments"
    parameter.view(-1)[7] = kept
    assert "another gradient" in (made.fault(total=torch.flip(made.gradient, [0])) or "")
    assert made.fault(total=made.gradient * 10) is None, "clipped to the same length, it is the same step"
    again = made.after.save_optimizer()
    made.after.moments[0].second[3] /= 100
    assert "second moments" in (made.fault(optimizer=made.after.save_optimizer()) or "")
    assert made.fault(optimizer=again) is None
    assert "not of the next step" in (made.fault(optimizer=made.before.save_optimizer()) or "")
    made.after.step(made.gradient.clone())
    assert made.fault() is not None
