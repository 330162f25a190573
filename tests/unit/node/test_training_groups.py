"""From admitted traces to what the trainer gets: which groups count, and what their completions are worth."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from r1net.protocol.job import Grpo, JobSpec, PolicyVersion
from r1net.protocol.trace import Trace
from r1net.protocol.work import TrainerSlot, TrainTask
from r1node.training.advantages import STD_EPSILON
from r1node.training.groups import training_groups
from r1node.training.packing import Group
from tests.unit.coordinator.jobs import job_spec, key

DIGEST = "0x" + "ab" * 32


def spec(**stage: object) -> JobSpec:
    return job_spec(stage=Grpo.model_validate({"rounds": 1, "groups_per_round": 3, "group_size": 2, **stage}))


def trace(group: int, index: int, reward: float | None, length: int = 2) -> Trace:
    return Trace(
        job_id=DIGEST,
        split="train",
        round=0,
        group=group,
        index=index,
        policy=DIGEST,
        worker=key(1).address,
        prompt_ids=(1,),
        completion_ids=(65,) * length,
        logprobs=(-0.5,) * length,
        reward_parts={"correct": reward},
        reward=reward,
        finish_reason="stop",
        seed=0,
    )


def task(**changes: object) -> TrainTask:
    slot = TrainerSlot(worker=key(1).address, peer_id="p", maddrs=(), bundles=(), tokens=1)
    values = {
        "round": 0,
        "attempt": 1,
        "version": PolicyVersion(number=0, policy=DIGEST),
        "slots": (slot,),
        "tokens": 1,
        "sequences": 1,
        "reward_std": 0.25,
    }
    return TrainTask.parse(TrainTask.model_validate(values | changes).model_dump_json())


TRACES = [trace(0, 0, 1.0), trace(0, 1, 0.0), trace(1, 0, 0.5), trace(1, 1, 0.5), trace(2, 0, 1.0), trace(2, 1, None)]


def advantages_of(spec: JobSpec, task: TrainTask) -> list[list[float]]:
    return [[sample.advantage for sample in group.samples] for group in training_groups(TRACES, spec, task)]


def test_groups_that_teach_nothing_are_left_out_unless_the_divergence_counts() -> None:
    assert advantages_of(spec(scale_rewards="none"), task()) == [[0.5, -0.5]]
    assert advantages_of(spec(scale_rewards="none", kl_coef=0.1), task()) == [[0.5, -0.5], [0.0, 0.0], [0.0, 0.0]]


def test_only_the_groups_of_the_task_count() -> None:
    with_kl = spec(scale_rewards="none", kl_coef=0.1)
    assert advantages_of(with_kl, task(groups=(0, 2))) == [[0.5, -0.5], [0.0, 0.0]]
    assert advantages_of(with_kl, task(groups=())) == []


@pytest.mark.parametrize("std", [0.1, 1 / 3, 2**-40])
def test_the_rounds_deviation_comes_with_the_task_bit_by_bit(std: float) -> None:
    expected = 0.5 / (std + STD_EPSILON)
    assert advantages_of(spec(scale_rewards="batch"), task(reward_std=std)) == [[expected, -expected]]


def test_long_completions_are_worth_less() -> None:
    job = spec(scale_rewards="none", overlong_buffer=4)
    longer = [trace(0, 0, 1.0), trace(0, 1, 1.0, length=job.sampling.max_tokens - 2)]
    (group,) = training_groups(longer, job, task())
    assert [sample.advantage for sample in group.samples] == [0.25, -0.25]


def test_a_divergence_in_the_reward_counts_before_the_group_is_compared() -> None:
    """Two equal rewards: the completion that left the first policy by 2 nats is worth 0.1 · 2 less."""
    job = spec(scale_rewards="none", kl_coef=0.1, kl_in="reward", kl_estimator="k1")
    pair = [trace(1, 0, 0.5), trace(1, 1, 0.5)]

    def compare(groups: Sequence[Group]) -> dict[int, torch.Tensor]:
        away, still = groups[0].samples
        return {
            id(away): torch.tensor([lp - 2.0 / len(away.sampler_logprobs) for lp in away.sampler_logprobs]),
            id(still): torch.tensor(list(still.sampler_logprobs)),
        }

    (group,) = training_groups(pair, job, task(), compare)
    assert [sample.advantage for sample in group.samples] == pytest.approx([-0.1, 0.1], rel=1e-5)
    with pytest.raises(ValueError, match="log-probabilities"):
        training_groups(pair, job, task())
    with pytest.raises(ValueError, match="cannot know"):
        spec(scale_rewards="batch", kl_coef=0.1, kl_in="reward")
