"""Playing episodes of a job that an adapter made: its tool in a process of its own, its reward in the real sandbox."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from r1net.adapters.job import Job
from r1net.adapters.places import Place
from r1net.local_files import LocalFiles
from r1net.own import reward_specs
from r1net.sandbox import SandboxPool
from r1net.sandbox.own import Call, OwnMark, OwnReward

_ANSWER = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("reward", sys.argv[1])
module = sys.modules["reward"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
for line in sys.stdin:
    print(json.dumps(module.play(**json.loads(line))), flush=True)
"""

Tool = Callable[[dict[str, Any], Sequence[str]], str | None]
"""What the environment of a row says after turns."""


@contextmanager
def tool(job: Job, place: Place, hash_seed: int = 0) -> Iterator[Tool]:
    """The job's tool, as a host would call it, by the interpreter of the environment's place."""
    file, _, name = job.arguments["tool"].rpartition(":")
    assert name == "play"
    command = [str(place.python), "-B", "-c", _ANSWER, file]
    env = {"PYTHONHASHSEED": str(hash_seed)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def answer(row: dict[str, Any], turns: Sequence[str]) -> str | None:
            process.stdin.write(json.dumps({"prompt": "question", "turns": turns, **columns(row)}) + "\n")
            process.stdin.flush()
            said: str | None = json.loads(process.stdout.readline())
            return said

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

    def marks(
        self, row: dict[str, Any], completions: Sequence[Any], hash_seed: int = 0, shift: float = 0.0
    ) -> list[OwnMark]:
        """The marks of a group."""
        reward = OwnReward(self.pool, "job", self.spec, self._open, hash_seed, shift)
        return reward.grade([[Call("question", one, columns(row)) for one in completions]])[0]

    def values(self, row: dict[str, Any], completions: Sequence[Any]) -> list[float]:
        """The marks, the same with another clock and hash seed, and in opposite order."""
        ahead = self.marks(row, completions)
        back = self.marks(row, completions[::-1], hash_seed=1, shift=40 * 86400.0)[::-1]
        assert ahead == back
        assert not [mark.fault for mark in ahead if mark.fault or mark.over]
        return [float(mark.value or 0.0) for mark in ahead]

    def _open(self, digest: str) -> bytes:
        return self._files.require(digest).read_bytes()
