"""A submitter's arguments as they were given: read once, before anything else is done, so that whatever is none of them
is told in a sentence. What a value means is found out where it is used."""

from __future__ import annotations

import math
import operator
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from r1net.amounts import wei_of
from r1net.datasets import Dataset
from r1net.errors import ProtocolError, UsageError
from r1net.faults import in_words, nearest, settable, shown
from r1net.jobs.arguments import JobArguments
from r1net.jobs.names import SETTINGS, meant
from r1net.local_files import path_of
from r1net.own import Tool
from r1net.protocol.canonical import canonical_bytes
from r1net.protocol.job import (
    Grpo,
    Precision,
    RewardSpec,
)
from r1net.protocol.problems import Curriculum

M = TypeVar("M", bound=BaseModel)
Reader = Callable[[str, Any], Any]

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_REQUIRED = ("model", "rounds", "budget")
_MOST_WEIGHT = 1e6
_REWARDS = 'a name, r1net.RewardSpec(…), a function or its file; several as [("correct", 1.0), …]'
_TOOLS = "a name, r1net.Tool(…), a function or its file"


def read_arguments(job: Mapping[str, Any]) -> JobArguments:
    """The arguments, each of the kind that it is used as; None is left out, as if it had not been given.

    Raises UsageError naming the first that is missing, unknown or of another kind.
    """
    for name in job:
        if name not in _READERS:
            raise UsageError(f"there is no argument {shown(name)}", hint=meant(str(name), list(_READERS)))
    given = {name: reader(name, job[name]) for name, reader in _READERS.items() if job.get(name) is not None}
    for name in _REQUIRED:
        if name not in given:
            raise UsageError(f"{name} is missing", hint=f"pass {name}=")
    return cast("JobArguments", given)


def whole(name: str, value: Any) -> int:
    """A whole number, of Python or of numpy. Raises UsageError."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise UsageError(f"{name}: {shown(value)} is not a whole number") from None


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name}: {shown(value)} is not a text")
    return value


def _name(name: str, value: Any) -> str:
    if not _text(name, value).strip():
        raise UsageError("the job's name is blank", hint="give it a name, or leave name= out")
    return str(value)


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name}: {shown(value)} is not True or False")
    return value


def _folder(name: str, value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise UsageError(f"{name}: {shown(value)} is not a path", hint="give a folder in Hugging Face layout")
    folder = path_of(value)
    if not folder.is_dir():
        raise UsageError(f"no model folder at {folder}", hint="give a folder in Hugging Face layout")
    return folder


def _money(name: str, value: Any) -> int:
    return wei_of(value, name)


def _address(name: str, value: Any) -> str:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        hint = "leave token= out to pay in R1; else 0x and 40 hexadecimal digits"
        raise UsageError(f"{name}: {shown(value)} is no address of a token", hint=hint)
    return value


def _one_of(choices: Sequence[str]) -> Reader:
    def read(name: str, value: Any) -> Any:
        if value not in choices:
            hint = nearest(value, choices) if isinstance(value, str) else f"there are {', '.join(choices)}"
            raise UsageError(f"{name}: {shown(value)} is not one of {', '.join(choices)}", hint=hint)
        return value

    return read


def _settings(kind: type[M]) -> Callable[[str, Any], M]:
    def read(name: str, value: Any) -> M:
        given = value.model_dump() if isinstance(value, kind) else value
        if not isinstance(given, Mapping):
            raise UsageError(f"{name}: {shown(value)} is no {kind.__name__}", hint=f"pass r1net.{kind.__name__}(…)")
        try:
            return kind.model_validate(dict(given))
        except ValidationError as error:
            raise in_words(error, kind, name) from error

    return read


def _table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{name}: {shown(value)} is not a table of settings", hint=f'write {name}={{"name": value}}')
    try:
        canonical_bytes(dict(value))
    except (ProtocolError, RecursionError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{name}: {shown(value)} holds what is no JSON", hint="texts, numbers, lists, tables"
        ) from error
    return dict(value)


def _grpo(name: str, value: Any) -> dict[str, Any]:
    table = _table(name, value)
    known = [one for one in settable(Grpo) if one not in _READERS]
    for key in table:
        if key in _READERS:
            raise UsageError(f"{name}: {key} is an argument of its own", hint=f"pass {key}=")
        if key not in known:
            raise UsageError(f"{name}: there is no setting {shown(key)}", hint=nearest(key, known))
    return table


def _curriculum(name: str, value: Any) -> bool | str | Curriculum:
    return value if isinstance(value, bool | str) else _settings(Curriculum)(name, value)


def _weight(name: str, value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{name}: the weight {shown(value)} is not a number")
    if not least <= value <= most or (least == 0 and value == 0):
        bound = f"between {least:g} and {most:g}" if least else f"more than 0, and at most {most:g}"
        raise UsageError(f"{name}: the weight {shown(value)} is not {bound}")
    return value


def _pairs(value: Any) -> list[tuple[Any, Any]] | None:
    """(source, weight) pairs; None where the value is something else."""
    if not isinstance(value, list | tuple) or not value:
        return None
    return list(value) if all(isinstance(one, tuple) and len(one) == 2 for one in value) else None


def _environment(name: str, value: Any) -> str | list[tuple[str, float]]:
    if isinstance(value, str):
        return value
    pairs = [tuple(one) for one in value] if _is_list_of_lists(value) else None
    if not pairs or not all(len(one) == 2 and isinstance(one[0], str) for one in pairs):
        hint = 'name one, such as "reasoning_gym:chain_sum", or several as [(name, weight), …]'
        raise UsageError(f"{name}: {shown(value)} names no environment", hint=hint)
    return [(one[0], _weight(f"{name} {one[0]}", one[1], 0, _MOST_WEIGHT)) for one in pairs]


def _is_list_of_lists(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, list | tuple) for one in value)


def _dataset(name: str, value: Any) -> Any:
    pairs = _pairs(value)
    if pairs is not None:
        return [(_source(name, one), _weight(name, weight, 0, _MOST_WEIGHT)) for one, weight in pairs]
    return _source(name, value)


def _source(name: str, value: Any) -> Any:
    """A data set, as far as can be told without reading it."""
    if isinstance(value, Dataset):
        for field in ("prompt", "answer", "split", "name"):
            if (given := getattr(value, field)) is not None:
                _text(f"{name}.{field}", given)
        _source(f"{name}.source", value.source)
        if isinstance(value.heldout, bool) or not isinstance(value.heldout, int | float):
            _source(f"{name}.heldout", value.heldout)
        return value
    if isinstance(value, Mapping | bytes) or not isinstance(value, str | Path | Iterable):
        hint = "give a path, a list of rows, or r1net.Dataset(…)"
        raise UsageError(f"{name}: {shown(value)} is no data set", hint=hint)
    return value


def _reward(name: str, value: Any) -> Any:
    if _is_reward(value):
        return value
    if not isinstance(value, list | tuple):
        raise UsageError(f"{name}: {shown(value)} is no reward", hint=_REWARDS)
    for item in value:
        reward, weight = item if isinstance(item, tuple) and len(item) == 2 else (item, 1.0)
        if not _is_reward(reward):
            raise UsageError(f"{name}: {shown(item)} is no reward", hint=_REWARDS)
        _weight(name, weight, -100, 100)
    return value


def _is_reward(value: Any) -> bool:
    return isinstance(value, str | Path | RewardSpec) or callable(value)


def _tool(name: str, value: Any) -> Any:
    of = value.of if isinstance(value, Tool) else value
    if not isinstance(of, str | Path) and not callable(of):
        raise UsageError(f"{name}: {shown(value)} is no tool", hint=_TOOLS)
    if isinstance(value, Tool):
        _table(f"{name}.config", value.config)
    return value


def _stops(name: str, value: Any) -> list[int]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or not value:
        raise UsageError(f"{name}: {shown(value)} is no list of tokens", hint="give token ids, such as [2]")
    return [whole(name, one) for one in value]


_READERS: dict[str, Reader] = {
    "model": _folder,
    "rounds": whole,
    "budget": _money,
    "environment": _environment,
    "environment_config": _table,
    "dataset": _dataset,
    "curriculum": _curriculum,
    "reward": _reward,
    "system_prompt": _text,
    "prefill": _text,
    "prompt": _text,
    "stop_token_ids": _stops,
    "tool": _tool,
    "turns": whole,
    "group_size": whole,
    "groups_per_round": whole,
    "grpo": _grpo,
    "dtype": _one_of(typing.get_args(Precision)),
    "name": _name,
    "token": _address,
    "seed": whole,
    "epoch_rounds": whole,
    "accept_weak_verifier": _truth,
    **{name: _settings(kind) for name, kind in SETTINGS.items()},
}
