"""Where a job's problems come from: generators, rows of the submitter's own, or a mix of them."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from r1net.protocol.canonical import Message, Setting
from r1net.protocol.files import FileRef

ROWS, MIX = "rows", "mix"
MOST_PARTS = 64
MOST_SHARDS = 256
MOST_SHARD_BYTES = 64 * 2**20
MOST_ROW_BYTES = 2**20


class Shard(FileRef):
    """Rows of a data set: a file of JSON lines, one `r1net.environments.rows.Row` each, every line with its end. Plain
    text, so that nobody unpacks a stranger's file."""

    size: int = Field(gt=0, le=MOST_SHARD_BYTES)
    rows: int = Field(gt=0, le=MOST_SHARD_BYTES // 2)


class DataSet(Message):
    """A submitter's own problems. What is held out is a split of its own: no row of it is trained on."""

    train: tuple[Shard, ...] = Field(min_length=1, max_length=MOST_SHARDS)
    heldout: tuple[Shard, ...] = Field(default=(), max_length=MOST_SHARDS)


class Curriculum(Setting):
    """Has a mix follow what is learnt from: the weights of a round come of the rewards that were admitted in the last
    `rounds` rounds (`r1net.environments.curriculum`). `least` is the share of its own weight that a part always keeps,
    so that what nobody solves yet is tried again."""

    rounds: int = Field(default=8, ge=1, le=1000)
    least: float = Field(default=0.1, gt=0, le=1)


class EnvironmentSpec(Message):
    """Where problems come from: `reasoning_gym:<generator>` with the generator's own settings, `rows:<label>` with its
    `data`, or `mix:<label>` of other environments' `parts`, by their weights or with a `curriculum`."""

    name: str = Field(max_length=200)
    config: dict[str, Any] = Field(default_factory=dict)
    data: DataSet | None = Field(default=None, exclude_if=lambda data: data is None)
    parts: tuple[Part, ...] = Field(default=(), max_length=MOST_PARTS, exclude_if=lambda parts: not parts)
    curriculum: Curriculum | None = Field(default=None, exclude_if=lambda curriculum: curriculum is None)

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> EnvironmentSpec:
        kind = self.name.partition(":")[0]
        if (kind == ROWS) != (self.data is not None):
            raise ValueError(f"{ROWS}:<label> has data, and nothing else has")
        if (kind == MIX) != bool(self.parts):
            raise ValueError(f"{MIX}:<label> has parts, and nothing else has")
        if any(part.environment.parts for part in self.parts):
            raise ValueError("a mix of mixes")
        if self.curriculum is not None and not self.parts:
            raise ValueError(f"a curriculum is of {MIX}:<label>")
        return self

    @property
    def leaves(self) -> tuple[EnvironmentSpec, ...]:
        """The environments that make problems: the parts of a mix, or this one."""
        return tuple(part.environment for part in self.parts) or (self,)

    @property
    def weights(self) -> tuple[float, ...]:
        """How often each of the leaves is drawn, in proportion."""
        return tuple(part.weight for part in self.parts) or (1.0,)

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards of all the leaves."""
        return tuple(shard for leaf in self.leaves if leaf.data for shard in (*leaf.data.train, *leaf.data.heldout))


class Part(Message):
    """One environment of a mix."""

    environment: EnvironmentSpec
    weight: float = Field(default=1.0, gt=0, le=1e6)
