"""Somebody new: an ordinary user in a folder with spaces, with nothing but the wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.e2e.harness.chain import ROOT

SOMEBODY = 61_234
"""A user id that no account of the machine has."""
RESULTS = ROOT / "build" / "journeys"


@dataclass(frozen=True)
class Typed:
    """A command as it was typed: what it said, how it ended, seconds until its first word and until its end."""

    line: str
    said: str
    code: int
    first_word: float | None
    took: float


class Newcomer:
    """A person with a home of their own. Every command that they type is timed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root = Path(tempfile.mkdtemp(prefix=f"r1 {name} "))
        self.home = self.root / "my home"
        self.home.mkdir()
        self.bin = self.home / "env" / "bin"
        self.typed: list[Typed] = []
        self.environment = {
            "HOME": str(self.home),
            "PATH": f"{self.bin}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            **{
                key: value for key, value in os.environ.items() if key.startswith(("PIP_", "OMP_", "SSL_", "REQUESTS_"))
            },
        }
        if os.geteuid() == 0:
            self.root.chmod(0o755)
            self.own()

    def own(self) -> None:
        """All in the home belongs to its person."""
        for path in (self.home, *self.home.rglob("*")):
            os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)

    def give(self, name: str, content: str | bytes | Path, mode: int = 0o600) -> Path:
        """A file in the home, or a copy of a folder."""
        path = self.home / name
        if isinstance(content, Path):
            shutil.copytree(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            path.chmod(mode)
        if os.geteuid() == 0:
            self.own()
        return path

    def install(self, wheel: Path, extra: str = "") -> None:
        """`pip install` in a fresh environment."""
        self.types("python -m venv env", [self._python(), "-m", "venv", "env"], seconds=120)
        pip = [str(self.bin / "pip"), "install", "--quiet", "--disable-pip-version-check", f"{wheel}{extra}"]
        self.types(f"pip install 'r1net{extra}'", pip, seconds=900)

    def _python(self) -> str:
        """The tests' own, or the system's where that lies in somebody else's home."""
        for python in (f"{sys.base_prefix}/bin/python3", "/usr/bin/python3"):
            again = "import ensurepip, subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
            command = self.as_person([python, "-c", again])
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return python
        raise RuntimeError("an ordinary user finds no Python with ensurepip here: apt install python3-venv")

    def says(self, *words: str, code: int = 0, seconds: float = 240, typing: str | None = None) -> str:
        """Type a command of the wheel; what it says. Fails when it ends otherwise than with `code`."""
        return self.types(" ".join(words), [str(self.bin / words[0]), *words[1:]], code, seconds, typing).said

    def answers(self, *words: str, code: int = 0) -> Any:
        """The same with --json, as a program reads it."""
        command = [str(self.bin / words[0]), *words[1:], "--json"]
        done = subprocess.run(
            self.as_person(command), env=self.environment, cwd=self.home, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def types(
        self, line: str, command: list[str], code: int = 0, seconds: float = 240, typing: str | None = None
    ) -> Typed:
        """Run a command in the home and time it."""
        began = time.monotonic()
        process = self.start(command)
        assert process.stdout is not None
        assert process.stdin is not None
        if typing is not None:
            process.stdin.write(typing)
        process.stdin.close()
        first, said = None, ""
        for text in process.stdout:
            if first is None and text.strip():
                first = time.monotonic() - began
            said += text
        ended = process.wait(seconds)
        process.stdout.close()
        self.typed.append(Typed(line, said, ended, first, time.monotonic() - began))
        assert ended == code, f"{line}: {ended}\n{said}"
        return self.typed[-1]

    def start(self, command: list[str], variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """A process of this person's."""
        return subprocess.Popen(
            self.as_person(command),
            env={**self.environment, **(variables or {})},
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @staticmethod
    def as_person(command: list[str]) -> list[str]:
        """Without the rights of the superuser."""
        if os.geteuid() != 0:
            return command
        return ["setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", *command]

    def report(self) -> None:
        """The times, as a table and as build/journeys/NAME.json."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        rows = [{key: value for key, value in asdict(one).items() if key != "said"} for one in self.typed]
        (RESULTS / f"{self.name}.json").write_text(json.dumps(rows, indent=2) + "\n")
        print(f"\n{self.name}: seconds to the first word, to the end")
        for one in self.typed:
            first = "–" if one.first_word is None else f"{one.first_word:.2f}"
            print(f"  {first:>7} {one.took:8.2f}  {one.line[:100]}")

    def leave(self) -> None:
        """Everything goes."""
        shutil.rmtree(self.root)


class Background:
    """A command that a person leaves running: what it has said so far."""

    def __init__(self, person: Newcomer, *words: str) -> None:
        self.line, self._person, self._began = " ".join(words), person, time.monotonic()
        self.log = person.root / f"{words[1]}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                person.as_person([str(person.bin / words[0]), *words[1:]]),
                env={**person.environment, "PYTHONUNBUFFERED": "1"},
                cwd=person.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.first_word: float | None = None

    def waits_for(self, words: str, seconds: float = 180) -> None:
        """Until it has said something."""
        until = time.monotonic() + seconds
        while words not in (said := self.log.read_text()):
            if said.strip() and self.first_word is None:
                self.first_word = time.monotonic() - self._began
            assert self.process.poll() is None, said
            assert time.monotonic() < until, f"no {words!r} in:\n{said}"
            time.sleep(0.05)

    def ends(self, seconds: float = 60) -> int:
        """Its exit code; noted among what was typed."""
        code = self.process.wait(seconds)
        took = time.monotonic() - self._began
        self._person.typed.append(Typed(self.line, self.log.read_text(), code, self.first_word, took))
        return code


def eventually(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Look again until it is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.5)
