"""A job file: the arguments of `Client.train` as TOML, checked before anything else happens.

model = "models/SmolLM2-135M-Instruct"      # paths are relative to the file
rounds = 30
budget = "100 R1"                           # or wei, as a whole number
reward = "math"                             # or tables: [[reward]] name, weight, config

[dataset]
source = "rows.jsonl"
answer = "solution"

[sampling]
max_tokens = 64
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from r1net.amounts import wei_of
from r1net.datasets import Dataset
from r1net.errors import UsageError
from r1net.faults import first_fault
from r1net.jobs.arguments import JobArguments
from r1net.jobs.positions import line_of, lines_of
from r1net.own import Reward, Tool
from r1net.protocol.job import (
    Evaluation,
    Lora,
    Optimizer,
    Precision,
    Prices,
    RewardSpec,
    Sampling,
    Verification,
)
from r1net.protocol.problems import Curriculum

MOST_BYTES = 2**20


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataTable(_Part):
    """[dataset], or one of several [[dataset]] with weights."""

    source: str
    prompt: str | None = None
    answer: str | None = None
    split: str | None = None
    heldout: int | float | str = 0.1
    name: str | None = None
    weight: float = Field(default=1.0, gt=0)

    def dataset(self, folder: Path) -> Dataset:
        """What it says, with paths from `folder`."""
        held = folder / self.heldout if isinstance(self.heldout, str) else self.heldout
        return Dataset(folder / self.source, self.prompt, self.answer, self.split, held, self.name)


class EnvironmentTable(_Part):
    """One of several [[environment]] with weights."""

    name: str
    weight: float = Field(default=1.0, gt=0)


class RewardTable(_Part):
    """One of several [[reward]]: a registered one by `name` with its `config`, or the `file` of one's own, with its
    `function` where the file has several."""

    name: str | None = None
    file: str | None = None
    function: str | None = None
    weight: float = 1.0
    config: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_them(self) -> RewardTable:
        if (self.name is None) == (self.file is None):
            raise ValueError("either name or file")
        return self

    def reward(self, folder: Path) -> tuple[Reward, float]:
        """What it says, with paths from `folder`."""
        if self.file is None:
            return RewardSpec(name=self.name or "", config=self.config), self.weight
        return _file_at(folder, self.file, self.function), self.weight


class ToolTable(_Part):
    """[tool]: a registered one by `name` with its `config`, or the `file` of one's own, with its `function` where the
    file has several; `reply` is the text around its answers, which else the chat template gives."""

    name: str | None = None
    file: str | None = None
    function: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    reply: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> ToolTable:
        if (self.name is None) == (self.file is None):
            raise ValueError("either name or file")
        return self

    def tool(self, folder: Path) -> Tool:
        """What it says, with paths from `folder`."""
        return Tool(
            _file_at(folder, self.file, self.function) if self.file else self.name or "", self.config, self.reply
        )


def _file_at(folder: Path, file: str, function: str | None) -> Path:
    return Path(f"{folder / file}:{function}" if function else folder / file)


class JobFile(_Part):
    """Everything that a job file may say: the keys are those of `r1net.jobs.JobArguments`."""

    model: str
    rounds: int
    budget: int
    environment: str | list[EnvironmentTable] | None = None
    environment_config: dict[str, Any] | None = None
    dataset: str | DataTable | list[DataTable] | None = None
    curriculum: bool | str | Curriculum | None = None
    reward: str | RewardTable | list[str | RewardTable] | None = None
    system_prompt: str | None = None
    prefill: str | None = None
    prompt: str | None = None
    stop_token_ids: list[int] | None = None
    tool: str | ToolTable | None = None
    turns: int | None = None
    group_size: int | None = None
    groups_per_round: int | None = None
    grpo: dict[str, Any] | None = None
    sampling: Sampling | None = None
    optimizer: Optimizer | None = None
    lora: Lora | None = None
    dtype: Precision | None = None
    evaluation: Evaluation | None = None
    verification: Verification | None = None
    prices: Prices | None = None
    name: str | None = None
    token: str | None = None
    seed: int | None = None
    epoch_rounds: int | None = None
    accept_weak_verifier: bool | None = None

    @field_validator("budget", mode="before")
    @classmethod
    def _in_wei(cls, value: object) -> object:
        try:
            return wei_of(value)
        except UsageError as error:
            raise ValueError(str(error)) from error

    def arguments(self, folder: Path) -> JobArguments:
        """The keywords of `Client.train`; paths are relative to `folder`."""
        given = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        given["model"] = folder / Path(self.model).expanduser()
        if isinstance(self.environment, list):
            given["environment"] = [(one.name, one.weight) for one in self.environment]
        if isinstance(self.dataset, str):
            given["dataset"] = folder / self.dataset
        elif isinstance(self.dataset, DataTable):
            given["dataset"] = self.dataset.dataset(folder)
        elif self.dataset is not None:
            given["dataset"] = [(one.dataset(folder), one.weight) for one in self.dataset]
        if self.reward is not None:
            tables = self.reward if isinstance(self.reward, list) else [self.reward]
            given["reward"] = [one if isinstance(one, str) else one.reward(folder) for one in tables]
        if isinstance(self.tool, ToolTable):
            given["tool"] = self.tool.tool(folder)
        elif self.tool is not None and ".py" in self.tool:
            given["tool"] = folder / self.tool
        return cast("JobArguments", given)


def read_job_file(path: Path, changes: Sequence[str] = ()) -> JobArguments:
    """The arguments that a job file holds, with `changes` of the form key=value, dots between nested keys, the value in
    TOML or as a bare text. Raises UsageError naming the line."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path} has {len(data)} bytes; at most {MOST_BYTES} are read")
    try:
        text = data.decode()
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error
    for change in changes:
        _set(values, change)
    try:
        return JobFile.model_validate(values).arguments(path.parent)
    except ValidationError as error:
        raise _words(path, text, error) from error


def _set(values: dict[str, Any], change: str) -> None:
    name, equals, value = change.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--set {change}: write key=value")
    *around, last = name.strip().split(".")
    table: Any = values
    for part in around:
        table = table[int(part)] if isinstance(table, list) and part.isdigit() else _inner(table, part, change)
    if not isinstance(table, dict):
        raise UsageError(f"--set {change}: there is no table {'.'.join(around)}")
    table[last] = _value(value.strip())


def _inner(table: Any, part: str, change: str) -> Any:
    if not isinstance(table, dict):
        raise UsageError(f"--set {change}: {part!r} is in no table")
    return table.setdefault(part, {})


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text


def _words(path: Path, text: str, error: ValidationError) -> UsageError:
    """The first fault, where it stands."""
    where, said, hint = first_fault(error, JobFile)
    line = line_of(lines_of(text), where)
    place = f"{path}:{line}" if line else str(path)
    return UsageError(f"{place}: {'.'.join(map(str, where))}: {said}", hint=hint)
