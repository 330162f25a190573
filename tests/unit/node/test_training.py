"""Packing, losses and the trainer: equal to the straightforward way, however the round is cut."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from r1net.errors import UsageError
from r1net.protocol.files import FileRef
from r1net.protocol.job import Grpo, JobSpec, Lora, ModelRef, Optimizer, Precision, RewardSpec
from r1net.protocol.problems import EnvironmentSpec
from r1node.training import attention, blocks
from r1node.training.divergence import DivergenceKind
from r1node.training.objectives import CrossEntropy, Distillation, PolicyGradient, SampledDistillation
from r1node.training.packing import Group, Sample
from r1node.training.policy import TrainablePolicy
from r1node.training.rows import lay_rows, row_batches, row_logits
from r1node.training.trainer import Trainer
from tests.unit.node.models import VOCABULARY, llama, qwen2, qwen3

MODELS = {
    "tied": llama(),
    "untied": llama(tied=False),
    "biases": qwen2(),
    "normed heads": qwen3(),
    "without C kernels": llama(head_dim=8),
}
NOBODY = "0x" + "00" * 20


def spec(**changes: Any) -> JobSpec:
    """A job whose weights are float32, unless something else is said."""
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
        "dtype": "float32",
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
    return Trainer(job, TrainablePolicy(job, model_dir), token_budget=budget, dtype=torch.float32)


def gradient_of(tokens: int) -> PolicyGradient:
    return PolicyGradient(Grpo(rounds=1), tokens, sequences=1, max_tokens=64)


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
    naive = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    tokens = sum(group.tokens for group in groups)
    for group in groups:
        for sample in group.samples:
            ids = torch.tensor([[*group.prompt_ids, *sample.completion_ids]])
            logits = naive(ids).logits[0]
            start = len(group.prompt_ids) - 1
            chosen = logits.log_softmax(-1)[start:-1].gather(1, torch.tensor(sample.completion_ids)[:, None])[:, 0]
            weight = (chosen.detach() - torch.tensor(sample.sampler_logprobs)).exp().clamp(max=cap)
            loss = -(chosen * weight * sample.advantage).sum() / tokens
            loss.backward()
    flat = [p.grad.reshape(-1) for _, p in sorted(naive.named_parameters()) if p.grad is not None]
    return torch.cat(flat), tokens


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).norm() <= 1e-5 * b.norm())


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_gradient_equals_the_naive_one(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    groups = some_groups(7)
    expected, tokens = naive_gradient(tmp_path, groups, cap=2.0)
    made = trainer(tmp_path)
    made.accumulate(groups, gradient_of(tokens))
    assert close(made.gradient(), expected)


def test_checkpointing_changes_nothing(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = some_groups(7)
    kept, again = trainer(model_dir), trainer(model_dir)
    kept.accumulate(groups, gradient_of(50))
    monkeypatch.setattr(blocks, "KEPT_BYTES", 0)
    again.accumulate(groups, gradient_of(50))
    assert torch.equal(kept.gradient(), again.gradient())


def test_attention_in_blocks_of_queries_is_the_same(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = some_groups(7)
    whole, cut = trainer(model_dir), trainer(model_dir)
    whole.accumulate(groups, gradient_of(50))
    monkeypatch.setattr(attention, "SCORES", 1)
    cut.accumulate(groups, gradient_of(50))
    assert close(cut.gradient(), whole.gradient())


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("lora", [None, Lora(rank=4)], ids=["full", "lora"])
def test_the_written_out_model_agrees_with_transformers(model_dir: Path, lora: Lora | None, dtype: Precision) -> None:
    """Entropy and gradient, computed in float32, of the same policy after a step by either way: one set of weights."""
    groups = some_groups(6)
    ours, theirs = trainer(model_dir, lora=lora, dtype=dtype), trainer(model_dir, lora=lora, dtype=dtype)
    theirs.policy.why_not_plain = "the test wants transformers"
    ours.accumulate(groups, gradient_of(50))
    first = ours.gradient().clone()
    found = []
    for each in (ours, theirs):
        each.step(first.clone())
        found.append((each.accumulate(groups, gradient_of(50))["entropy"], each.gradient()))
    (entropy, gradient), (their_entropy, their_gradient) = found
    assert float((gradient - their_gradient).norm() / their_gradient.norm()) < 1e-4
    assert entropy == pytest.approx(their_entropy, rel=1e-5)


def test_bf16_is_as_near_the_exact_gradient_as_transformers(model_dir: Path) -> None:
    groups, job = some_groups(12), spec(dtype="bfloat16")
    exact = trainer(model_dir, dtype="bfloat16")
    exact.accumulate(groups, gradient_of(50))
    likeness = []
    for reason in (None, "the test wants transformers"):
        rounded = Trainer(job, TrainablePolicy(job, model_dir), dtype=torch.bfloat16)
        rounded.policy.why_not_plain = reason
        rounded.accumulate(groups, gradient_of(50))
        likeness.append(float(torch.cosine_similarity(exact.gradient(), rounded.gradient(), dim=0)))
    assert likeness[0] > min(0.99, likeness[1] - 0.005)


def test_an_adapter_learns_what_autograd_says(model_dir: Path) -> None:
    """The gradient of A and B through the merged weights, against autograd on W + s·B·A."""
    job = spec(lora=Lora(rank=4), stage=Grpo(rounds=1, importance_cap=0))
    made = Trainer(job, TrainablePolicy(job, model_dir), dtype=torch.float32)
    groups, objective = some_groups(4), PolicyGradient(job.stage, 40, 1, 64)
    for _ in range(2):
        made.accumulate(groups, objective)
        made.step(made.gradient())
    made.accumulate(groups, objective)
    plain = llama()
    pairs = {name: p.detach().clone().requires_grad_() for name, p in made.policy.parameters.items()}
    weights = dict(made.policy.module.named_parameters())
    for name in [name for name in pairs if name.endswith("lora_A.weight")]:
        layer = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        pair = pairs[name.replace("lora_A", "lora_B")] @ pairs[name]
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"].float() + 8.0 * pair  # alpha / rank
    weights = {name: weight.float() for name, weight in weights.items()}
    loss = torch.zeros(())
    for group in groups:
        for sample in group.samples:
            ids = torch.tensor([[*group.prompt_ids, *sample.completion_ids]])
            logits = torch.func.functional_call(plain, weights, (ids,)).logits[0].log_softmax(-1)
            chosen = logits[len(group.prompt_ids) - 1 : -1].gather(1, torch.tensor(sample.completion_ids)[:, None])
            loss = loss - chosen.sum() * sample.advantage / 40
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(pairs.values()))])
    assert close(made.gradient(), expected)


@pytest.mark.parametrize("budget", [1, 40, 100, 10_000])
def test_gradient_does_not_depend_on_micro_batches(model_dir: Path, budget: int) -> None:
    groups = some_groups(9)
    tokens = sum(group.tokens for group in groups)
    whole, cut = trainer(model_dir), trainer(model_dir, budget=budget)
    whole.accumulate(groups, gradient_of(tokens))
    random.Random(1).shuffle(groups)
    cut.accumulate(groups, gradient_of(tokens))
    assert close(cut.gradient(), whole.gradient())


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_shares_of_any_number_of_trainers_add_up(model_dir: Path, nodes: int) -> None:
    groups = some_groups(10)
    tokens = sum(group.tokens for group in groups)
    whole = trainer(model_dir)
    whole.accumulate(groups, gradient_of(tokens))
    total = torch.zeros_like(whole.gradient())
    for node in range(nodes):
        share = trainer(model_dir)
        share.accumulate(groups[node::nodes], gradient_of(tokens))
        total += share.gradient()
    assert close(total, whole.gradient())


def test_replicas_given_the_same_gradient_stay_bit_identical(model_dir: Path) -> None:
    one, two = trainer(model_dir), trainer(model_dir)
    for seed in range(3):
        groups = some_groups(4, seed)
        one.accumulate(groups, gradient_of(50))
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
            each.accumulate(some_groups(3, seed), gradient_of(40))
            each.step(each.gradient())
    resumed = trainer(model_dir, lora=lora)
    resumed.policy.load(stopped.policy.save())
    resumed.load_optimizer(stopped.save_optimizer())
    for each in (straight, resumed):
        each.accumulate(some_groups(3, 5), gradient_of(40))
        each.step(each.gradient())
    assert resumed.policy.save() == straight.policy.save()


def test_the_sampled_weights_are_the_merged_adapter(model_dir: Path, tmp_path: Path) -> None:
    """As PEFT merges it, but for the order of the sums; rounded once, whatever computes."""
    made = trainer(model_dir, lora=Lora(rank=4), dtype="bfloat16")
    for seed in (0, 2):  # B is zero at first: only the second step moves A
        made.accumulate(some_groups(3, seed), gradient_of(40))
        made.step(made.gradient())
    (tmp_path / "adapter_model.safetensors").write_bytes(made.policy.save())
    config = peft.LoraConfig(r=4, lora_alpha=32.0, target_modules=list(Lora().targets), task_type="CAUSAL_LM")
    config.save_pretrained(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16).float()
    merged = peft.PeftModel.from_pretrained(base, tmp_path).merge_and_unload().state_dict()
    for name, tensor in made.policy.merged().items():
        assert tensor.dtype == torch.bfloat16
        assert torch.allclose(tensor.float(), merged[name], rtol=2**-8, atol=1e-6), name


def test_a_gradient_that_is_not_finite_is_refused(model_dir: Path) -> None:
    made = trainer(model_dir)
    before = made.policy.save()
    gradient = made.gradient()
    gradient[3] = float("nan")
    with pytest.raises(FloatingPointError):
        made.step(gradient)
    assert made.policy.save() == before


def test_rows_are_what_each_sequence_is_by_itself() -> None:
    model, groups = llama(), some_groups(3, seed=4)
    (rows,) = row_batches(groups, 10_000)
    with torch.no_grad():
        together = row_logits(model, lay_rows(rows))
        alone = [row_logits(model, lay_rows([row])) for row in rows]
    assert torch.allclose(together, torch.cat(alone), atol=5e-5)  # sums come in another order with more threads


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 200), st.integers(0, 50))
def test_row_batches_hold_every_sample_once(count: int, budget: int, seed: int) -> None:
    groups = some_groups(count, seed)
    batches = list(row_batches(groups, budget))
    before = sorted(tuple(s.completion_ids) for g in groups for s in g.samples)
    assert sorted(tuple(sample.completion_ids) for batch in batches for _, sample in batch) == before
    for batch in batches:
        padded = len(batch) * max(len(prompt) + len(sample.completion_ids) for prompt, sample in batch)
        assert padded <= budget or len(batch) == 1


@pytest.mark.parametrize("lora", [None, Lora(rank=4)], ids=["full", "lora"])
def test_divergence_is_zero_at_first_and_pulls_back_later(model_dir: Path, lora: Lora | None) -> None:
    """Groups without advantage: only the divergence from the job's model moves the policy."""
    stage = Grpo(rounds=1, kl_coef=0.5, importance_cap=0)
    made = trainer(model_dir, lora=lora, stage=stage)
    objective = PolicyGradient(stage, 40, 1, 64, made.policy.assemble_reference(torch.float32, 1.0))
    rewarded = some_groups(4)
    still = [
        Group(g.prompt_ids, [Sample(s.completion_ids, s.sampler_logprobs, 0.0) for s in g.samples]) for g in rewarded
    ]
    assert made.accumulate(still, objective)["kl"] == pytest.approx(0, abs=1e-3)
    for _ in range(4):
        made.accumulate(rewarded, objective)
        made.step(made.gradient())
    away = made.accumulate(still, objective)["kl"]
    assert away > 1e-3
    assert float(made.gradient().norm()) > 0
    for _ in range(4):
        made.accumulate(still, objective)
        made.step(made.gradient())
    assert made.accumulate(still, objective)["kl"] < away


def test_cross_entropy_is_that_of_transformers(model_dir: Path) -> None:
    groups = [
        Group(g.prompt_ids, [Sample(s.completion_ids, s.sampler_logprobs, 1.0) for s in g.samples])
        for g in some_groups(3)
    ]
    tokens = sum(group.tokens for group in groups)
    made, theirs = trainer(model_dir), llama()
    metrics = made.accumulate(groups, CrossEntropy(tokens))
    loss = torch.zeros(())
    for group in groups:
        for sample in group.samples:
            ids = torch.tensor([[*group.prompt_ids, *sample.completion_ids]])
            labels = torch.tensor([[*([-100] * len(group.prompt_ids)), *sample.completion_ids]])
            loss = loss + theirs(ids, labels=labels).loss * len(sample.completion_ids) / tokens
    loss.backward()
    expected = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    assert close(made.gradient(), torch.cat([expected[name].flatten() for name in sorted(expected)]))
    assert metrics["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)


@pytest.mark.parametrize("kind", ["forward", "reverse"])
def test_distillation_is_the_divergence_over_the_whole_vocabulary(
    model_dir: Path, tmp_path: Path, kind: DivergenceKind
) -> None:
    """Loss and gradient against autograd over whole logits; learning from a teacher brings the policy nearer."""
    teacher = llama(seed=5)
    teacher.save_pretrained(tmp_path)
    job, groups, made, student = spec(), some_groups(3), trainer(model_dir), llama()
    other = TrainablePolicy(job, tmp_path).assemble_reference(torch.float32, 1.0)
    tokens = sum(group.tokens for group in groups)
    objective = Distillation(tokens, other, kind)
    metrics = made.accumulate(groups, objective)
    loss = torch.zeros(())
    for group in groups:
        for sample in group.samples:
            ids = torch.tensor([[*group.prompt_ids, *sample.completion_ids]])
            places = slice(len(group.prompt_ids) - 1, -1)
            p = student(ids).logits[0, places].log_softmax(-1)
            q = teacher(ids).logits[0, places].log_softmax(-1).detach()
            target, given = (q, p) if kind == "forward" else (p, q)
            loss = loss + torch.nn.functional.kl_div(given, target, reduction="sum", log_target=True) / tokens
    loss.backward()
    expected = {name: p.grad for name, p in student.named_parameters() if p.grad is not None}
    assert close(made.gradient(), torch.cat([expected[name].flatten() for name in sorted(expected)]))
    assert metrics["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert metrics["kl"] == pytest.approx(float(loss.detach()), rel=1e-4)
    for _ in range(10):
        made.step(made.gradient())
        last = made.accumulate(groups, objective)
    assert last["loss"] < 0.9 * metrics["loss"]


def test_sampled_distillation_moves_towards_what_the_teacher_prefers(model_dir: Path, tmp_path: Path) -> None:
    llama(seed=5).save_pretrained(tmp_path)
    made, groups = trainer(model_dir), some_groups(3)
    teacher = TrainablePolicy(spec(), tmp_path).assemble_reference(torch.float32, 1.0)
    objective = SampledDistillation(sum(group.tokens for group in groups), teacher)
    theirs, before = made.compare(groups, teacher), _own(made, groups)
    made.accumulate(groups, objective)
    made.step(made.gradient())
    moved = {key: after - before[key] for key, after in _own(made, groups).items()}
    liked = torch.cat([theirs[key] - before[key] for key in moved])
    assert torch.corrcoef(torch.stack((torch.cat(list(moved.values())), liked)))[0, 1] > 0.2


def _own(made: Trainer, groups: list[Group]) -> dict[int, torch.Tensor]:
    return made.compare(groups, made.policy.assemble(torch.float32, 1.0))


def test_teachers_of_another_vocabulary_are_refused(model_dir: Path, tmp_path: Path) -> None:
    llama(vocab_size=VOCABULARY + 1).save_pretrained(tmp_path)
    teacher = TrainablePolicy(spec(), tmp_path).assemble_reference(torch.float32, 1.0)
    with pytest.raises(UsageError, match="62 tokens"):
        trainer(model_dir).accumulate(some_groups(1), Distillation(9, teacher, "forward"))


def test_one_token_completions_and_no_groups(model_dir: Path) -> None:
    made = trainer(model_dir)
    metrics = made.accumulate([Group([5, 6], [Sample([3], [-1.0], 1.0), Sample([4], [-2.0], -1.0)])], gradient_of(2))
    assert all(math.isfinite(value) for value in metrics.values())
    assert bool(torch.isfinite(made.gradient()).all())
    assert float(made.gradient().norm()) > 0
    assert made.accumulate([], gradient_of(2)) == {}
    assert float(made.gradient().norm()) == 0
