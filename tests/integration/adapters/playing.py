"""Playing episodes of a job that an adapter made: its tool in a process of its own, its reward in the real sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from r1net.adapters.job import Job
from r1net.local_files import LocalFiles
from r1net.own import reward_specs, tool_turns
from r1net.sandbox import SandboxPool
from r1net.sandbox.function import OTHER, USUAL, Surroundings
from r1net.sandbox.own import Call, OwnMark, OwnReward
from r1net.sandbox.own_tool import OwnTool, ToolCall

Tool = Callable[[dict[str, Any], Sequence[str]], str | None]
"""What the environment of a row says after turns."""


@contextmanager
def tool(job: Job, folder: Path, hash_seed: int = 0) -> Iterator[Tool]:
    """The job's tool in the sandbox, as hosts and coordinator compute it."""
    files = LocalFiles(folder)
    turns = tool_turns(job.arguments["tool"], None, lambda: "{reply}", files)
    with closing(SandboxPool(processes=1)) as pool:
        own = OwnTool(pool, "job", turns, lambda digest: files.require(digest).read_bytes(), Surroundings(hash_seed))

        def answer(row: dict[str, Any], said: Sequence[str]) -> str | None:
            ((answered,),) = own.replies([[ToolCall("question", tuple(said), columns(row))]])
            assert not answered.fault, answered.fault
            assert not answered.over
            return answered.text

        yield answer


def columns(row: dict[str, Any]) -> dict[str, Any]:
    """What a tool and a reward get of a row."""
    return {name: value for name, value in row.items() if name != "question"} | {"answer": row.get("answer")}


def episode(answer: Tool, row: dict[str, Any], player: Callable[[str], str], most: int = 12) -> list[dict[str, str]]:
    """The messages of an episode that a player plays, hearing what the environment says."""
    messages: list[dict[str, str]] = []
    heard: str | None = ""
    while heard is not None and len(messages) < 2 * most:
        messages.append({"role": "assistant", "content": player(heard)})
        heard = answer(row, [one["content"] for one in messages[::2]])
        messages.append({"role": "tool", "content": heard or ""})
    return messages[:-1]


class Halving:
    """Guesses a number by halving what is left, as nobody could who doesn't hear the game."""

    def __init__(self, least: int = 1, most: int = 20) -> None:
        self._least, self._most = least, most
        self._guess = 0

    def __call__(self, heard: str) -> str:
        """The next guess."""
        hints = re.findall("higher|lower", heard)
        if hints:
            self._least = self._guess + 1 if hints[-1] == "higher" else self._least
            self._most = self._guess - 1 if hints[-1] == "lower" else self._most
        self._guess = (self._least + self._most) // 2
        return f"<think>[{self._least}] to [{self._most}]</think>I say [{self._guess}]."


class Graded:
    """A job's reward in the sandbox, as coordinator and hosts compute it."""

    def __init__(self, job: Job, files: Path) -> None:
        self._files = LocalFiles(files)
        (self.spec,) = reward_specs(job.arguments["reward"], self._files)
        self.pool = SandboxPool(processes=2)

    def marks(self, row: dict[str, Any], completions: Sequence[Any], around: Surroundings = USUAL) -> list[OwnMark]:
        """The marks of a group."""
        reward = OwnReward(self.pool, "job", self.spec, self._open, around)
        return reward.grade([[Call("question", one, columns(row)) for one in completions]])[0]

    def values(self, row: dict[str, Any], completions: Sequence[Any]) -> list[float]:
        """The marks, the same with another clock and hash seed, and in opposite order."""
        ahead = self.marks(row, completions)
        back = self.marks(row, completions[::-1], OTHER)[::-1]
        assert ahead == back
        assert not [mark.fault for mark in ahead if mark.fault or mark.over]
        return [float(mark.value or 0.0) for mark in ahead]

    def _open(self, digest: str) -> bytes:
        return self._files.require(digest).read_bytes()


def no_conversations(talks: Sequence[Any]) -> list[str]:
    """For data sets whose questions are texts."""
    raise AssertionError("the questions are texts")
