"""What a submitter says of a job: the keywords of `Client.train`, and the keys of a job file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Required, TypedDict

from r1net.datasets import Dataset
from r1net.own import Rewards, ToolLike
from r1net.protocol.job import Evaluation, Lora, Optimizer, Precision, Prices, Sampling, Verification
from r1net.protocol.problems import Curriculum

DataLike = Dataset | Path | str | Iterable[Mapping[str, Any]]


class JobArguments(TypedDict, total=False):
    """Settings of a GRPO job.

    `model` is a local folder in Hugging Face layout, `budget` is "5 R1", or a number of wei of `token` (default: R1),
    and goes into the job's escrow. Problems come from a `dataset` of your own (`r1net.Dataset`, a path, or rows) or
    from an `environment` (`reasoning_gym:<generator>`, with `environment_config`); either may be a list of (source,
    weight), which is mixed.
    `reward` is the name of a registered reward, a `RewardSpec` with its settings, a function of your own as TRL calls
    them, or the file that has it; or a list of such, or of (reward, weight). A function's whole file travels, with the
    wheels of what its PEP 723 header names, and is run in sandboxes alone, first here: it must give the same mark for
    the same answer every time.
    `prices`: without them the budget is spread over the most tokens that the job can come to. `dtype` is the precision
    of every version's weights; without it, that of the model's own: bfloat16 where they have 16 bits.
    `grpo` takes further settings of the stage (`r1net.protocol.job.Grpo`), such as
    `{"loss": "gspo", "dynamic_sampling": 3}`.
    The prompt is the model's chat template as transformers renders it now, around one question, with `system_prompt`
    and `prefill`; or `prompt`, which is taken as it is. A completion ends at any end-of-sequence token that the model's
    files name; or at `stop_token_ids`.
    `tool` is the name of what answers where the model ends its turn (`r1net.tools`), as the chat template has a user
    answer; or `r1net.Tool`, with its settings or another text around the answer. Or it is a function of your own (or
    its file), `tool(prompt, turns, **columns)`, which gives the answer to the model's turns so far, or None; it travels
    as a reward does. The model has at most `turns` turns, 4 without it. Own rewards are then shown messages.
    `evaluation` says what is answered by the first and the last version; without it, up to 128 held-out problems.
    `curriculum`: True has the weights of a mix follow what is learnt from (`r1net.Curriculum` with settings); the name
    of a column splits the rows of data sets by its values first, each a part as large as it has rows.
    `verification` says how much of the hosts' work other hosts replay before it is trained on and paid.
    Before anything is paid, the job's verifiers are tried on 64 of its problems: the reference answer must earn all, an
    empty answer and nonsense next to nothing, unless you `accept_weak_verifier`.
    """

    model: Required[Path | str]
    rounds: Required[int]
    budget: Required[int | str]
    environment: str | Sequence[tuple[str, float]]
    environment_config: Mapping[str, Any]
    dataset: DataLike | Sequence[tuple[DataLike, float]]
    curriculum: bool | str | Curriculum
    reward: Rewards
    system_prompt: str
    prefill: str
    prompt: str
    stop_token_ids: Sequence[int]
    tool: ToolLike
    turns: int
    group_size: int
    groups_per_round: int
    grpo: Mapping[str, Any]
    sampling: Sampling | Mapping[str, Any]
    optimizer: Optimizer | Mapping[str, Any]
    lora: Lora | Mapping[str, Any]
    dtype: Precision
    evaluation: Evaluation | Mapping[str, Any]
    verification: Verification | Mapping[str, Any]
    prices: Prices | Mapping[str, Any]
    name: str
    token: str
    seed: int
    epoch_rounds: int
    accept_weak_verifier: bool
