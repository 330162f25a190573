"""Where environments of others are read: a virtual environment of their own, since their dependencies clash with ours.

It lies below the cache and is made when it is first asked for. Nothing of it is imported here: a file is run by its
interpreter and answers in JSON.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from r1net.errors import UsageError
from r1net.local_files import cache_folder

_HERE = Path(__file__).parent
_SECONDS = 1800
_TAIL = 3
"""Lines of what went wrong that an error repeats."""
_WORDS = 400


@dataclass(frozen=True)
class Place:
    """The environment of an adapter: what its own list pins, without their dependencies, and `packages` with theirs."""

    adapter: str
    packages: tuple[str, ...]
    root: Path

    @classmethod
    def of(cls, adapter: str, packages: Sequence[str], root: Path | None) -> Place:
        """Below `root`, or the user's cache."""
        for one in packages:
            try:
                Requirement(one)
            except InvalidRequirement as error:
                raise UsageError(
                    f"{one!r} is no requirement: {error}", hint='pin packages: "textarena==0.7.4"'
                ) from error
        return cls(adapter, tuple(packages), root or cache_folder() / "adapters")

    @property
    def pins(self) -> Path:
        """The adapter's own list."""
        return _HERE / f"{self.adapter}.txt"

    @property
    def folder(self) -> Path:
        """One for each set of packages and interpreter."""
        told = json.dumps([self.pins.read_text(), self.packages, sys.version])
        return self.root / f"{self.adapter}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def ready(self) -> bool:
        """Whether it is there, and complete."""
        return (self.folder / "complete").exists()

    def ensure(self) -> None:
        """Make it unless it is there. Raises UsageError naming what can't be installed."""
        with self._alone():
            if self.ready:
                return
            venv.create(self.folder, with_pip=False)
            self._install("--no-deps", "--requirement", str(self.pins))
            if self.packages:
                self._install("--constraint", str(self.pins), "--", *self.packages)
            (self.folder / "complete").touch()

    def ask(self, file: Path, request: Mapping[str, Any]) -> dict[str, Any]:
        """What a file that is to travel says there. Raises UsageError."""
        self.ensure()
        command = [str(self.python), "-I", "-B", str(_HERE / "lister.py"), str(file)]
        text = json.dumps({**request, "named": [Requirement(one).name for one in self.packages]})
        try:
            done = subprocess.run(  # noqa: S603
                command, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UsageError(f"the environment gave no rows within {_SECONDS} s") from error
        if done.returncode != 0:
            raise UsageError(f"reading the environment failed: {_tail(done.stderr)}")
        answer: dict[str, Any] = json.loads(done.stdout)
        if "error" in answer:
            words = " ".join(answer["error"].split())[:_WORDS]
            raise UsageError(f"this environment can't travel: {words}", hint=_hint(words))
        return answer

    def _install(self, *what: str) -> None:
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check", "--no-input"]
        command = [*pip, "install", "--quiet", "--only-binary=:all:", *what]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise UsageError(
                f"{', '.join(self.packages) or self.adapter} can't be installed: {_tail(done.stderr)}",
                hint=f"pip itself must be installed; {self.folder} can be removed at any time",
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.root / f"{self.folder.name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _tail(text: str) -> str:
    return " | ".join([line.strip()[:300] for line in text.splitlines() if line.strip()][-_TAIL:])


def _hint(words: str) -> str:
    if "No module named" in words:
        return "name the package that has it in packages=[…]"
    return "it must run alone: no server, no download, no other model, all that it needs from packages or its one file"
