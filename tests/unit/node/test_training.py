"""Packing, losses and the trainer: equal to the straightforward way, however the round is cut."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1net.protocol.job import EnvironmentSpec, FileRef, Grpo, JobSpec, Lora, ModelRef, Optimizer, RewardSpec
from r1node.training.packing import Group, Sample, micro_batches, pack
from r1node.training.policy import TrainablePolicy
from r1node.training.trainer import Trainer
from tests.unit.node.models import VOCABULARY, llama

NOBODY = "0x" + "00" * 20


def spec(**changes: Any) -> JobSpec:
    file = FileRef(sha256="0x" + "11" * 32, size=1)
    job: dict[str, Any] = {
        "name": "test",
        "submitter": NOBODY,
        "model": ModelRef(name="m", files=dict.fromkeys(("config.json", "tokenizer.json", "model.safetensors"), file)),
        "environment": EnvironmentSpec(name="reasoning_gym:chain_sum"),
        "rewards": (RewardSpec(name="correct"),),
        "prompt": "{question}",
        "stop_token_ids": (1,),
        "stage": Grpo(rounds=1),
        "optimizer": Optimizer(learning_rate=1e-3),
        "payment_token": NOBODY,
        "budget": 0,
    }
    return JobSpec(**(job | changes))


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    llama().save_pretrained(folder)
    return folder


def trainer(model_dir: Path, budget: int = 4096, **changes: Any) -> Trainer:
    """In float32: these tests compare sums to the last digits."""
    job = spec(**changes)
    made = Trainer(job, TrainablePolicy(job, model_dir), token_budget=budget)
    made._autocast = None
    return made


def some_groups(count: int, seed: int = 0) -> list[Group]:
    rng = random.Random(seed)

    def ids(low: int, high: int) -> list[int]:
        return [rng.randrange(2, VOCABULARY) for _ in range(rng.randint(low, high))]

    groups = []
    for _ in range(count):
        samples = []
        for _ in range(rng.randint(1, 5)):
            completion = ids(1, 9)
            samples.append(Sample(completion, [-rng.random() * 5 for _ in completion], rng.uniform(-2, 2)))
        groups.append(Group(ids(1, 12), samples))
    return groups


def naive_gradient(model_dir: Path, groups: list[Group], cap: float) -> tuple[torch.Tensor, int]:
    """One sequence at a time, the whole vocabulary at once, no packing."""
    job = spec()
    policy = TrainablePolicy(job, model_dir)
    tokens = sum(group.tokens for group in groups)
    for group in groups:
        for sample in group.samples:
            ids = torch.tensor([[*group.prompt_ids, *sample.completion_ids]])
            logits = policy.model(ids).logits[0]
            start = len(group.prompt_ids) - 1
            chosen = logits.log_softmax(-1)[start:-1].gather(1, torch.tensor(sample.completion_ids)[:, None])[:, 0]
            weight = (chosen.detach() - torch.tensor(sample.sampler_logprobs)).exp().clamp(max=cap)
            loss = -(chosen * weight * sample.advantage).sum() / tokens
            loss.backward()
    flat = [p.grad.reshape(-1) for p in policy.parameters.values() if p.grad is not None]
    return torch.cat(flat), tokens


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).norm() <= 1e-5 * b.norm())


def test_gradient_equals_the_naive_one(model_dir: Path) -> None:
    groups = some_groups(7)
    expected, tokens = naive_gradient(model_dir, groups, cap=2.0)
    made = trainer(model_dir)
    made.accumulate(groups, tokens)
    assert close(made.gradient(), expected)


@pytest.mark.parametrize("budget", [1, 40, 100, 10_000])
def test_gradient_does_not_depend_on_micro_batches(model_dir: Path, budget: int) -> None:
    groups = some_groups(9)
    tokens = sum(group.tokens for group in groups)
    whole, cut = trainer(model_dir), trainer(model_dir, budget=budget)
    whole.accumulate(groups, tokens)
    random.Random(1).shuffle(groups)
    cut.accumulate(groups, tokens)
    assert close(cut.gradient(), whole.gradient())


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_shares_of_any_number_of_trainers_add_up(model_dir: Path, nodes: int) -> None:
    groups = some_groups(10)
    tokens = sum(group.tokens for group in groups)
    whole = trainer(model_dir)
    whole.accumulate(groups, tokens)
    total = torch.zeros_like(whole.gradient())
    for node in range(nodes):
        share = trainer(model_dir)
        share.accumulate(groups[node::nodes], tokens)
        total += share.gradient()
    assert close(total, whole.gradient())


def test_replicas_given_the_same_gradient_stay_bit_identical(model_dir: Path) -> None:
    one, two = trainer(model_dir), trainer(model_dir)
    for seed in range(3):
        groups = some_groups(4, seed)
        one.accumulate(groups, 50)
        gradient = one.gradient().clone()
        one.step(gradient)
        two.step(gradient)
    assert one.policy.save() == two.policy.save()
    assert one.save_optimizer() == two.save_optimizer()


@pytest.mark.parametrize("lora", [None, Lora(rank=4)], ids=["full", "lora"])
def test_resumes_exactly_where_it_stopped(model_dir: Path, lora: Lora | None) -> None:
    straight, stopped = trainer(model_dir, lora=lora), trainer(model_dir, lora=lora)
    for seed in range(2):
        for each in (straight, stopped):
            each.accumulate(some_groups(3, seed), 40)
            each.step(each.gradient())
    resumed = trainer(model_dir, lora=lora)
    resumed.policy.load(stopped.policy.save())
    resumed.load_optimizer(stopped.save_optimizer())
    for each in (straight, resumed):
        each.accumulate(some_groups(3, 5), 40)
        each.step(each.gradient())
    assert resumed.policy.save() == straight.policy.save()


def test_merged_adapter_is_the_adapted_model(model_dir: Path) -> None:
    made = trainer(model_dir, lora=Lora(rank=4))
    made.accumulate(some_groups(3), 40)
    made.step(made.gradient())
    made.accumulate(some_groups(3, 2), 40)  # B is zero at first: only the second step moves A
    made.step(made.gradient())
    plain = llama()
    plain.load_state_dict({name: t.float() for name, t in made.policy.merged().items()}, strict=False)
    ids = torch.randint(2, VOCABULARY, (2, 9))
    with torch.no_grad():
        adapted, merged, base = made.policy.model.eval()(ids).logits, plain(ids).logits, llama()(ids).logits
    assert (adapted.float() - merged).abs().mean() < 0.05 * (adapted.float() - base).abs().mean() + 0.05


def test_a_gradient_that_is_not_finite_is_refused(model_dir: Path) -> None:
    made = trainer(model_dir)
    before = made.policy.save()
    gradient = made.gradient()
    gradient[3] = float("nan")
    with pytest.raises(FloatingPointError):
        made.step(gradient)
    assert made.policy.save() == before


def test_packed_rows_do_not_see_one_another() -> None:
    """Changing one completion leaves the hidden states of every other alone."""
    model = llama()
    groups = some_groups(2, seed=4)
    changed = [groups[0], Group(groups[1].prompt_ids, [*groups[1].samples])]
    victim = groups[1].samples[0]
    changed[1].samples[0] = Sample([2] * len(victim.completion_ids), victim.sampler_logprobs, 0.0)  # type: ignore[index]
    outputs = []
    for version in (groups, changed):
        batch = pack(version)
        with torch.no_grad():
            hidden = model.model(
                input_ids=batch.ids_BL,
                position_ids=batch.positions_BL,
                attention_mask=batch.attention_B1LL,
                use_cache=False,
            ).last_hidden_state
        outputs.append(hidden.flatten(0, 1)[batch.source_NT])
    own = len(groups[0].samples)
    differs = (outputs[0] - outputs[1]).abs().amax(dim=(1, 2)) > 1e-6
    others = [n for n in range(len(differs)) if n != own]
    assert not bool(differs[others].any())


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 200), st.integers(0, 50))
def test_micro_batches_hold_every_sample_once(count: int, budget: int, seed: int) -> None:
    groups = some_groups(count, seed)
    batches = list(micro_batches(groups, budget))
    before = sorted(tuple(s.completion_ids) for g in groups for s in g.samples)
    after = sorted(tuple(s.completion_ids) for batch in batches for g in batch for s in g.samples)
    assert after == before
    for batch in batches:
        padded = len(batch) * max(group.width for group in batch)
        assert padded <= budget or (len(batch) == 1 and len(batch[0].samples) == 1)


@pytest.mark.parametrize("lora", [None, Lora(rank=4)], ids=["full", "lora"])
def test_divergence_is_zero_at_first_and_pulls_back_later(model_dir: Path, lora: Lora | None) -> None:
    """Groups without advantage: only the divergence from the job's model moves the policy."""
    stage = Grpo(rounds=1, kl_coef=0.5, importance_cap=0)
    made = trainer(model_dir, lora=lora, stage=stage)
    rewarded = some_groups(4)
    still = [
        Group(g.prompt_ids, [Sample(s.completion_ids, s.sampler_logprobs, 0.0) for s in g.samples]) for g in rewarded
    ]
    assert made.accumulate(still, 40)["kl"] == pytest.approx(0, abs=1e-3)
    for _ in range(4):
        made.accumulate(rewarded, 40)
        made.step(made.gradient())
    away = made.accumulate(still, 40)["kl"]
    assert away > 1e-3
    assert float(made.gradient().norm()) > 0
    for _ in range(4):
        made.accumulate(still, 40)
        made.step(made.gradient())
    assert made.accumulate(still, 40)["kl"] < away
