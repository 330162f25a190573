"""Our losses, advantages and importance weights against TRL's own code, on the same float64 numbers.

TRL's `GRPOTrainer` runs its real `_generate_and_score_completions` and `_compute_loss`. Replaced are only its sources
of numbers: what was generated, what the reward functions gave, and the forward passes, whose log-probabilities are
tensors of the test. Loss, gradient and importance weights must agree to 1e-10, advantages that are divided by a
standard deviation to 1e-7: TRL computes n / (n - 1) in float32. The loss is then compared on TRL's advantages.

Where names or meanings differ:

    gspo       is TRL's "grpo" with importance_sampling_level="sequence". TRL has one ratio for a sequence (GSPO,
               arXiv:2507.18071, eq. 7), we GSPO-token's (eq. 14): value and gradient are the same, except under
               token-level mismatch weights, which TRL's one ratio averages over the sequence and ours keeps apart
    cispo      TRL clips at epsilon_high itself, we at 1 + clip_high as the paper writes it (arXiv:2506.13585, eq. 5)
    dapo       also is TRL's "bnpo" when the batch is the whole round: "bnpo" divides by the micro-batch's tokens
    dual_clip  is TRL's `delta`, an upper bound of the unclipped ratio, as long as delta >= 1 + clip_high: below that
               TRL bounds positive advantages too, arXiv:1912.09729, eq. 5 only negative ones
    KL         TRL has k3 alone. It adds the term after the correction for the sampler's mismatch, as we do. By
               default it multiplies the term by the ratio of the policies (use_bias_correction_kl, arXiv:2512.02556,
               section 3.1), so that its gradient is the divergence's: that is `kl_loss`. Without, it is `kl_estimate`
    mismatch   TRL keeps the sampler's log-probabilities in float32, so the test draws them from float32
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from r1coordinator.scheduling.metrics import TraceFigures, sampling_metrics
from r1net.protocol.job import Grpo, LossName, RewardScale
from r1net.shaping import deviation
from r1node.training.advantages import advantages
from r1node.training.importance import importance_weights
from r1node.training.losses import kl_estimate, kl_loss, policy_loss, token_weights
from tests.unit.node.models import SIZES, STOP, llama

MAX_TOKENS = 5
LOSSES: tuple[LossName, ...] = get_args(LossName)
TRL_LOSS = {"gspo": "grpo"}
TOLERANCE = {"rtol": 1e-10, "atol": 1e-13}
quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
STD_TOLERANCE = {"rtol": 1e-7, "atol": 1e-13}


class Judge(GRPOTrainer):
    """TRL's trainer with the numbers of a case in place of generation, rewards and forward passes."""

    case: dict[str, Any]
    leaf: Tensor

    def _generate(self, prompts: list[Any]) -> Any:
        ids = [[STOP] * length for length in self.case["lengths"]]
        sampler = [
            row[:length].tolist() for row, length in zip(self.case["sampler"], self.case["lengths"], strict=True)
        ]
        return [[2]] * len(ids), ids, None, [""] * len(ids), sampler, {}, None, []

    def _calculate_rewards(self, *_: Any) -> Tensor:
        parts: Tensor = self.case["parts"]
        return parts

    def _get_per_token_logps_and_entropies(self, model: Any, *_: Any, **__: Any) -> Any:
        if torch.is_grad_enabled():
            return self.leaf, torch.zeros_like(self.leaf), None
        return self.case["reference" if model is self.ref_model else "old"], None, None

    def judge(self, case: dict[str, Any]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """The batch as TRL makes it, its loss, and the gradient by every log-probability."""
        stage: Grpo = case["stage"]
        self.case, self.leaf = case, case["new"].clone().requires_grad_()
        self.num_generations = stage.group_size
        self.loss_type = case["trl_loss"]
        self.importance_sampling_level = "sequence" if stage.loss == "gspo" else "token"
        self.epsilon_low, self.epsilon_high = stage.clip_low, stage.clip_high + (stage.loss == "cispo")
        self.args.delta = stage.dual_clip
        self.beta, self.args.use_bias_correction_kl = stage.kl_coef, case["corrected"]
        self.scale_rewards = stage.scale_rewards
        self.use_vllm = stage.importance_cap > 0
        self.vllm_importance_sampling_mode = f"{stage.importance}_{stage.importance_mode}"
        self.vllm_importance_sampling_clip_max = stage.importance_cap
        self.reward_weights = torch.tensor([1.0, 0.5])
        batch = self._generate_and_score_completions([{"prompt": "x"}] * len(case["lengths"]))
        batch["old_per_token_logps"] = case["old"]  # TRL leaves it out where one step follows each generation
        loss = self._compute_loss(self.model, batch)
        (gradient,) = torch.autograd.grad(loss, self.leaf)
        return batch, loss.detach(), gradient


def first(**_: Any) -> list[float]:
    """A reward's name; `Judge` has its values."""
    return []


def second(**_: Any) -> list[float]:
    """Another one."""
    return []


@pytest.fixture(scope="module")
def trl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    words = Tokenizer(models.WordLevel({"<end>": 0, "<stop>": STOP, "x": 2}, unk_token="x"))
    config = GRPOConfig(
        output_dir=str(tmp_path_factory.mktemp("trl")),
        per_device_train_batch_size=2,
        gradient_accumulation_steps=1,
        num_generations=2,
        max_completion_length=MAX_TOKENS,
        beta=0.0,
        use_cpu=True,
        bf16=False,
        report_to="none",
        gradient_checkpointing=None,
    )
    made = Judge(
        model=llama(),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<stop>", pad_token="<end>"),
        reward_funcs=[first, second],
        args=config,
        train_dataset=Dataset.from_dict({"prompt": ["x"]}),
    )
    assert made.model.config.vocab_size == SIZES["vocab_size"]
    made.ref_model = torch.nn.Identity()
    made.current_gradient_accumulation_steps = 1
    made.model.train()
    return made


@st.composite
def cases(draw: Any, loss: LossName) -> dict[str, Any]:
    """A round of up to three groups: rewards in parts, log-probabilities, and the stage's settings."""
    groups, size = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    count = groups * size
    lengths = [draw(st.integers(1, MAX_TOKENS)) for _ in range(count)]
    near = st.floats(-0.6, 0.6)
    high = draw(st.floats(0.05, 0.5))
    stage = Grpo(
        rounds=1,
        loss=loss,
        groups_per_round=groups,
        group_size=size,
        clip_low=draw(st.floats(0.05, 0.5)),
        clip_high=high,
        dual_clip=draw(st.none() | st.floats(1 + high, 4)),
        scale_rewards=draw(st.sampled_from(get_args(RewardScale))),
        importance="sequence" if loss == "gspo" else draw(st.sampled_from(["token", "sequence"])),
        importance_mode=draw(st.sampled_from(["truncate", "mask"])),
        importance_cap=draw(st.just(0.0) | st.floats(0.5, 3)),
        kl_coef=draw(st.just(0.0) | st.floats(0.01, 1)),
    )

    def rows(values: st.SearchStrategy[float]) -> Tensor:
        width = max(lengths)
        return torch.tensor([[draw(values) for _ in range(width)] for _ in range(count)], dtype=torch.float64)

    new = rows(st.floats(-6, -0.01))
    part = st.integers(-16, 16).map(lambda eighths: eighths / 8) | st.just(math.nan)
    parts = [[draw(part) for _ in range(2)] for _ in range(count)]
    return {
        "stage": stage,
        "trl_loss": TRL_LOSS.get(loss, draw(st.sampled_from(["dapo", "bnpo"])) if loss == "dapo" else loss),
        "corrected": loss != "gspo" and draw(st.booleans()),
        "lengths": lengths,
        "parts": torch.tensor(parts, dtype=torch.float64),
        "new": new,
        "old": new + rows(near),
        "sampler": (new + rows(near)).float(),
        "reference": new + rows(near),
    }


def our_advantages(case: dict[str, Any]) -> Tensor:
    """(N,) advantages. A part that is None here is NaN in TRL's tensors."""
    stage: Grpo = case["stage"]
    rewards = (case["parts"] * torch.tensor([1.0, 0.5])).nansum(1)
    rewards[case["parts"].isnan().all(1)] = math.nan
    round_std = deviation(None if math.isnan(reward) else reward for reward in rewards.tolist())
    groups = rewards.view(-1, stage.group_size)
    return advantages(groups, stage.baseline, stage.scale_rewards, round_std).flatten()


def our_loss(case: dict[str, Any], advantages_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Importance weights, loss, and its gradient by every log-probability."""
    stage: Grpo = case["stage"]
    lengths = torch.tensor(case["lengths"])
    new = case["new"].clone().requires_grad_()
    mask = (torch.arange(new.shape[1])[None] < lengths[:, None]).double()
    weights = importance_weights(
        case["old"], case["sampler"].double(), mask, stage.importance, stage.importance_mode, stage.importance_cap
    )
    loss = policy_loss(stage, new, case["old"], advantages_N, mask) * weights
    reference, estimator = case["reference"], stage.kl_estimator
    corrected = kl_loss(new, case["old"], reference, estimator)
    loss = loss + stage.kl_coef * (corrected if case["corrected"] else kl_estimate(new, reference, estimator))
    share = token_weights(stage.loss, mask, int(mask.sum()), len(lengths), MAX_TOKENS)
    total = (loss * share).sum()
    (gradient,) = torch.autograd.grad(total, new)
    return weights * mask, total.detach(), gradient


@pytest.mark.parametrize("loss", LOSSES)
@quick
@given(data=st.data())
def test_a_whole_round_is_trls(trl: Judge, loss: LossName, data: st.DataObject) -> None:
    case = data.draw(cases(loss))
    batch, expected, slopes = trl.judge(case)
    weights, total, gradient = our_loss(case, batch["advantages"])
    scaled = case["stage"].scale_rewards != "none"
    torch.testing.assert_close(our_advantages(case), batch["advantages"], **(STD_TOLERANCE if scaled else TOLERANCE))
    if case["stage"].importance_cap:
        ratios = batch["importance_sampling_ratio"] * batch["completion_mask"]
        torch.testing.assert_close(weights, ratios, **TOLERANCE)
    torch.testing.assert_close(total, expected, **TOLERANCE)
    torch.testing.assert_close(gradient, slopes, **TOLERANCE)


def our_figures(case: dict[str, Any]) -> dict[str, float]:
    """What the coordinator writes down of the same rewards."""
    size = case["stage"].group_size
    traces = []
    for number, (first, second) in enumerate(case["parts"].tolist()):
        parts = {name: None if math.isnan(part) else part for name, part in (("first", first), ("second", second))}
        scored = [weight * part for weight, part in zip((1.0, 0.5), parts.values(), strict=True) if part is not None]
        reward = sum(scored) if scored else None
        traces.append(TraceFigures(number // size, reward, reward, parts, case["lengths"][number], "stop"))
    return sampling_metrics(traces)


@quick
@given(case=cases("dapo"))
def test_the_figures_of_rewards_are_trls(trl: Judge, case: dict[str, Any]) -> None:
    """Where TRL has a figure at all: a mean of nothing and a deviation of fewer than two rewards are NaN there, absent
    or 0 here. A group with fewer than two rewards has no spread here; TRL takes its NaN for one. Under "batch", TRL's
    `frac_reward_zero_std` is about the batch, ours about the groups."""
    trl.judge(case)
    logged = {name: values[-1] for name, values in trl._metrics["train"].items() if "reward" in name}
    assert {"reward", "reward_std", "frac_reward_zero_std", "rewards/first/mean", "rewards/first/std"} <= logged.keys()
    scored = (~case["parts"].isnan().all(1)).view(-1, case["stage"].group_size).sum(1)
    if case["stage"].scale_rewards == "batch" or int(scored.min()) < 2:
        del logged["frac_reward_zero_std"]
    found = our_figures(case)
    for name, value in logged.items():
        if not math.isnan(value):
            assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-7), name
