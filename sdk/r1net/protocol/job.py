"""What a submitter asks for: the job specification. Its digest is what the escrow on chain commits to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from r1net.errors import UsageError
from r1net.protocol.canonical import Address, Hash, Message, Setting, Wei
from r1net.protocol.code import Code, RewardCode
from r1net.protocol.files import FileRef
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.turns import Turns
from r1net.protocol.weight_files import REQUIRED_FILES, weight_names

QUESTION = "{question}"


class ModelRef(Message):
    """A model in Hugging Face layout: file name -> content.

    Weights are safetensors only: model.safetensors, or model.safetensors.index.json with exactly the shards
    model-00001-of-0000n.safetensors to the last. Beside them stand only files that `weight_files.OTHER_FILES` lists.
    """

    name: str = Field(min_length=1, max_length=200)
    files: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")], FileRef] = Field(
        max_length=256
    )

    @model_validator(mode="after")
    def _loadable(self) -> ModelRef:
        missing = sorted(set(REQUIRED_FILES) - self.files.keys())
        if missing:
            raise ValueError(f"model lacks {', '.join(missing)}")
        try:
            weight_names(self.files)
        except UsageError as error:
            raise ValueError(error.message) from error
        return self

    @property
    def weights(self) -> tuple[str, ...]:
        """The names of the safetensors files, in order."""
        return weight_names(self.files)


class RewardSpec(Setting):
    """A weighted verifiable reward: by its registered name (`r1net.rewards.names()` lists them) with its settings, or
    a submitter's own `code` under a name of its own."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
    weight: float = Field(default=1.0, ge=-100, le=100)
    config: dict[str, Any] = Field(default_factory=dict, exclude_if=lambda config: not config)
    code: RewardCode | None = Field(default=None, exclude_if=lambda code: code is None)


SamplingRule = Literal["gumbel/1"]
"""How a seed picks tokens: `r1node.rollout.sampler` states gumbel/1. Another rule is another name, never another
meaning of this one, so that old traces stay checkable."""


class Sampling(Setting):
    """How completions are sampled. Temperature 0 is greedy."""

    rule: SamplingRule = "gumbel/1"
    temperature: float = Field(default=1.0, ge=0, le=4)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0, description="0 = off")
    max_tokens: int = Field(default=64, ge=1, le=131072)


class Lora(Setting):
    """Low-rank adapters (arXiv:2106.09685) on every linear layer named in `targets`."""

    rank: int = Field(default=16, ge=1, le=1024)
    alpha: float = Field(default=32.0, gt=0)
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

    @property
    def scale(self) -> float:
        """What B·A is multiplied by: α / rank."""
        return self.alpha / self.rank


Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Setting):
    """AdamW (arXiv:1711.05101) with linear warm-up, then constant."""

    learning_rate: float = Field(default=1e-5, gt=0, lt=1)
    betas: tuple[Beta, Beta] = (0.9, 0.99)
    eps: float = Field(default=1e-8, ge=1e-30, description="in float32, where less is nothing")
    weight_decay: float = Field(default=0.0, ge=0)
    warmup_rounds: int = Field(default=0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)


Precision = Literal["bfloat16", "float32"]
"""Of a version's weights, as they are sampled, trained on, replayed, exported and served: the float32 values that the
optimizer holds, rounded to nearest, ties to even. A host may compute in a finer precision, never with other weights."""

LossName = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo"]
Baseline = Literal["group", "leave_one_out"]
RewardScale = Literal["group", "batch", "none"]
ImportanceLevel = Literal["token", "sequence"]
ImportanceMode = Literal["truncate", "mask"]
KlEstimator = Literal["k1", "k2", "k3"]
KlPlace = Literal["loss", "reward"]


class Grpo(Setting):
    """One stage of group-relative policy optimisation: one update from each round's groups.

    `dynamic_sampling` (DAPO, arXiv:2503.14476, eq. 11): groups whose completions all earn the same teach nothing. Up
    to `dynamic_sampling` times `groups_per_round` groups are drawn until that many differ, and only these are trained
    on; 1 trains on what comes. All groups are paid.
    Advantages: `baseline` and `scale_rewards` (see r1node.training.advantages); completions near `max_tokens` can be
    punished by DAPO's `overlong_buffer` tokens. Loss: `loss`, `clip_low`, `clip_high`, `dual_clip`. Mismatch between
    sampler and trainer: `importance`, `importance_mode`, `importance_cap` (0 switches the correction off).
    `kl_coef` weighs the divergence from the job's model, estimated by `kl_estimator`: in the loss of each token
    (GRPO, arXiv:2402.03300, eq. 3), or summed over a completion and taken off its reward (arXiv:1909.08593, eq. 2).
    """

    kind: Literal["grpo"] = "grpo"
    rounds: int = Field(ge=1, le=100_000)
    groups_per_round: int = Field(default=16, ge=1, le=65536)
    group_size: int = Field(default=8, ge=2, le=4096)
    dynamic_sampling: int = Field(default=1, ge=1, le=100)
    baseline: Baseline = "group"
    scale_rewards: RewardScale = "group"
    overlong_buffer: int = Field(default=0, ge=0)
    loss: LossName = "dapo"
    clip_low: float = Field(default=0.2, ge=0)
    clip_high: float = Field(default=0.28, ge=0)
    dual_clip: float | None = Field(default=None, gt=1)
    importance: ImportanceLevel = "token"
    importance_mode: ImportanceMode = "truncate"
    importance_cap: float = Field(default=2.0, ge=0)
    kl_coef: float = Field(default=0.0, ge=0)
    kl_estimator: KlEstimator = "k3"
    kl_in: KlPlace = "loss"

    @model_validator(mode="after")
    def _rewards_are_known(self) -> Grpo:
        if self.kl_coef and self.kl_in == "reward":
            if self.scale_rewards == "batch":
                raise ValueError("kl_in 'reward' forbids scale_rewards 'batch': the coordinator cannot know the KL")
            if self.dynamic_sampling > 1:
                raise ValueError("kl_in 'reward' forbids dynamic_sampling: the coordinator cannot know the KL")
        return self


class Evaluation(Setting):
    """Held-out problems, never drawn for training, answered by the first and the last version."""

    problems: int = Field(default=128, ge=0, le=100_000)
    sampling: Sampling = Sampling(temperature=0.0)


TIGHTEST, WIDEST = 1.15, 1.4
"""What a job may say for `Verification.noise`."""


class Verification(Setting):
    """Sampled replay: of the admitted submissions a share `rate` is drawn, by a block hash that nobody knew when they
    were handed in, and up to `traces` completions of each are replayed by hosts of other owners. Of the trainers'
    gradients a share `training_rate` is recomputed, each in whole, which costs what it cost its trainer. Owners that
    are new or have failed are drawn more often. A `rate` of 0 draws nothing: then nobody checks what the job pays for.

    `noise`: how many times that of plain bfloat16 arithmetic the noise of a sampler's log-probabilities may be, over
    many tokens. `r1node calibrate` measures what honest work on a model comes to; less than 1.15 would convict some.
    """

    rate: float = Field(default=0.1, ge=0, le=1)
    traces: int = Field(default=8, ge=1, le=256)
    training_rate: float = Field(default=0.03, ge=0, le=1)
    noise: float = Field(default=WIDEST, ge=TIGHTEST, le=WIDEST)

    def rate_of(self, kind: str) -> float:
        """The share that is drawn of a kind of work (`r1net.protocol.pricing.Work.kind`)."""
        return self.training_rate if kind == "training" and self.rate else self.rate


class Prices(Setting):
    """What the escrow pays, in wei for each token of a contribution. A verified token is one that was replayed."""

    rollout_token: Wei = 0
    trained_token: Wei = 0
    verified_token: Wei = 0


class JobSpec(Message):
    """The whole job. Everything a node needs is here or named here by hash, so a job can be replayed."""

    name: str = Field(min_length=1, max_length=100)
    submitter: Address
    model: ModelRef
    environment: EnvironmentSpec
    rewards: tuple[RewardSpec, ...] = Field(min_length=1, max_length=32)
    prompt: str = Field(description="rendered chat template; holds '{question}' exactly once")
    stop_token_ids: tuple[int, ...] = Field(min_length=1)
    stage: Grpo
    turns: Turns | None = Field(default=None, exclude_if=lambda turns: turns is None)
    sampling: Sampling = Sampling()
    optimizer: Optimizer = Optimizer()
    lora: Lora | None = None
    dtype: Precision = "float32"
    evaluation: Evaluation = Evaluation()
    verification: Verification = Verification()
    prices: Prices = Prices()
    payment_token: Address
    budget: Wei
    epoch_rounds: int = Field(default=1_000_000, ge=1, description="rounds to an epoch; the job's end closes one too")
    seed: int = Field(default=0, ge=0, lt=2**53)

    @model_validator(mode="after")
    def _prompt_has_one_place(self) -> JobSpec:
        if self.prompt.count(QUESTION) != 1:
            raise ValueError("prompt must hold {question} exactly once")
        return self

    @model_validator(mode="after")
    def _rewards_have_names_of_their_own(self) -> JobSpec:
        if len({reward.name for reward in self.rewards}) < len(self.rewards):
            raise ValueError("two rewards have the same name")
        return self

    @property
    def files(self) -> dict[str, int]:
        """Every file that the job is made of, by its digest: how many bytes it has."""
        found = [*self.model.files.values(), *self.environment.shards]
        for code in self.codes:
            found += code.files
        return {file.sha256: file.size for file in found}

    @property
    def codes(self) -> list[Code]:
        """All code that its submitter brings."""
        brought = [self.turns.code if self.turns else None, *(reward.code for reward in self.rewards)]
        return [code for code in brought if code is not None]

    def render(self, question: str) -> str:
        """The prompt's text for one question."""
        return self.prompt.replace(QUESTION, question)


class PolicyVersion(Message):
    """A policy version. Version 0 is the model itself; later ones name the agreed files.

    `policy` is the SHA-256 of a safetensors file with the trainable tensors (all of them, or the LoRA adapter),
    `optimizer` that of the optimizer's state. Replicas are bit-identical, so one pair names a version.
    """

    number: int = Field(ge=0)
    policy: Hash
    optimizer: Hash | None = None


JobState = Literal["waiting_for_model", "running", "completed", "failed", "cancelled"]
RoundPhase = Literal["evaluate_first", "rollout", "train", "evaluate_last", "done"]


class SubmitJob(Message):
    """Body of POST /v1/jobs. The escrow's `specDigest` authenticates it, so it needs no signature."""

    job_id: Hash
    spec: JobSpec


class JobView(Message):
    """The coordinator's public view of a job."""

    job_id: Hash
    spec_digest: Hash
    spec: JobSpec
    state: JobState
    phase: RoundPhase
    round: int = Field(ge=0, description="the round in progress, from 0")
    version: PolicyVersion
    missing_blobs: tuple[Hash, ...] = ()
    traces_accepted: int = 0
    error: str | None = None
    held: Literal["paused", "spent"] | None = Field(
        default=None, description="why it gives out no new work: its submitter paused it, or its budget is spent"
    )
    settlement: str | None = Field(
        default=None, description="why something that the job owes is not settled yet, or never; see /dues"
    )
