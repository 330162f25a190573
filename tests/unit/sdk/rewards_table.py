"""docs/rewards.md's table of rewards, from what they say of themselves. `python -m tests.unit.sdk.rewards_table` writes
it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

from pydantic.fields import FieldInfo

from r1net.protocol.job import RewardSpec
from r1net.rewards import (
    code,
    composite,
    cosine,
    ifeval,
    instructions,
    language,
    length,
    mathematics,
    names,
    repetition,
    tagged,
    tags,
)
from r1net.rewards.base import NoSettings, RewardSettings

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "rewards.md"
BEGIN, END = "<!-- rewards: python -m tests.unit.sdk.rewards_table -->", "<!-- end of rewards -->"

BOUNDS = {"ge": "≥ {}", "le": "≤ {}", "min_length": "at least {}", "max_length": "at most {}"}

STATED: dict[str, tuple[Callable[..., object], type[RewardSettings]]] = {
    "code": (code.CodeSettings, code.CodeSettings),
    "correct": (tagged.correct, NoSettings),
    "cosine": (cosine.cosine, cosine._Settings),
    "exact": (tagged.exact, NoSettings),
    "format": (tagged.format_, NoSettings),
    "instructions": (instructions.instructions, NoSettings),
    "language": (language.language, language._Settings),
    "length": (length.length, length._Settings),
    "math": (mathematics.mathematics, mathematics.MathSettings),
    "product": (composite.multiplied, composite._Settings),
    "repetition": (repetition.repetition, repetition._Settings),
    "sum": (composite.summed, composite._Settings),
    "tag_count": (tags.tag_count, NoSettings),
}


def table() -> str:
    """A line for each registered reward, and the names of the instructions."""
    lines = ["| reward | what it gives | settings |", "|---|---|---|"]
    for name in names():
        factory, model = STATED[name]
        words = _escaped(" ".join((inspect.getdoc(factory) or "").split()))
        given = "; ".join(_setting(key, field) for key, field in model.model_fields.items()) or "none"
        lines.append(f"| `{name}` | {words} | {given} |")
    known = ", ".join(f"`{name}`" for name in ifeval.names())
    return "\n".join([*lines, "", f"The instructions: {known}."])


def _escaped(text: str) -> str:
    """Text for a cell of Markdown, in which code stays as it is."""
    parts = text.replace("|", "\\|").split("`")
    return "`".join(part if place % 2 else part.replace("<", "\\<") for place, part in enumerate(parts))


def _setting(name: str, field: FieldInfo) -> str:
    """A setting with its default and bounds."""
    default = "must be given" if field.is_required() else f"default {_shown(field.default)}"
    bounds = [
        words.format(f"{getattr(bound, key):,}")
        for bound in field.metadata
        for key, words in BOUNDS.items()
        if hasattr(bound, key)
    ]
    return f"`{name}` ({', '.join([default, *bounds])})"


def _shown(value: object) -> str:
    if isinstance(value, RewardSpec):
        return f"`{value.name}`"
    return "none" if value is None else str(value)


def written(text: str) -> str:
    """The document with the table in its place."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
