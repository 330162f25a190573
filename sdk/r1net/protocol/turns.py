"""Completions of more than one turn: where a model ends its turn, a tool may answer, and the model goes on."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from r1net.protocol.canonical import Message
from r1net.protocol.code import ToolCode

REPLY = "{reply}"

Span = tuple[int, int]
"""Tokens [begin, end) of a completion."""


class Turns(Message):
    """`tool` is the name of what answers (`r1net.tools.names()` lists them), with its `config`; or a submitter's own
    `code` under a name of its own. It reads the model's turns, the last of which ends with a stop token, and answers or
    not; `most` turns of the model are sampled. `reply` is what stands between two of them: the text that ends the one,
    the answer in place of {reply}, and what begins the next."""

    tool: str = Field(max_length=100)
    config: dict[str, Any] = Field(default_factory=dict)
    code: ToolCode | None = Field(default=None, exclude_if=lambda code: code is None)
    most: int = Field(default=4, ge=2, le=64)
    reply: str = Field(max_length=10_000)

    @field_validator("reply")
    @classmethod
    def _has_one_place(cls, value: str) -> str:
        if value.count(REPLY) != 1:
            raise ValueError("reply must hold {reply} exactly once")
        return value


def sampled(length: int, given: tuple[Span, ...]) -> list[int]:
    """The places of a completion that the model sampled: all but those of the `given` spans."""
    found: list[int] = []
    at = 0
    for begin, end in given:
        found.extend(range(at, begin))
        at = end
    return [*found, *range(at, length)]


def turns_of(ids: tuple[int, ...] | list[int], given: tuple[Span, ...]) -> list[list[int]]:
    """The model's own turns of a completion."""
    edges = [0, *(edge for span in given for edge in span), len(ids)]
    return [list(ids[begin:end]) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def messages(turns: list[str], replies: list[str]) -> list[dict[str, str]]:
    """A completion of several turns as messages: the model's, and between two of them the tool's."""
    found = [{"role": "assistant", "content": turns[0]}]
    for reply, turn in zip(replies, turns[1:], strict=True):
        found += [{"role": "tool", "content": reply}, {"role": "assistant", "content": turn}]
    return found
