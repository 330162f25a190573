"""Jobs that bring a reward of their own, for tests."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from r1net.protocol.canonical import sha256
from r1net.protocol.code import RewardCode
from r1net.protocol.job import FileRef, JobSpec, RewardSpec
from r1net.sandbox import SandboxPool
from r1net.sandbox.function import USUAL, Surroundings
from r1net.sandbox.own import Call, OwnMark, OwnReward
from tests.sandbox import SANDBOX
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec

PYTHON = "3.11"


def ref(data: bytes) -> FileRef:
    return FileRef(sha256=sha256(data), size=len(data))


def wheel(name: str, files: Mapping[str, str | bytes], version: str = "1.0") -> bytes:
    """A small pure wheel."""
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        for path, content in files.items():
            archive.writestr(path, content)
    return kept.getvalue()


class Kit:
    """A reward's code with its files by digest."""

    def __init__(self, source: str, wheels: Mapping[str, bytes] | None = None, **changes: Any) -> None:
        data = source.encode()
        wheels = wheels or {}
        self.files = {sha256(each): each for each in (data, *wheels.values())}
        self.code = RewardCode(
            source=ref(data),
            function="reward",
            python=PYTHON,
            wheels={name: ref(each) for name, each in wheels.items()},
            **changes,
        )

    @property
    def open(self) -> Callable[[str], bytes]:
        return self.files.__getitem__

    def spec(self, *others: RewardSpec, weight: float = 1.0) -> JobSpec:
        """A small job with this reward and others."""
        return job_spec(rewards=(RewardSpec(name="mine", weight=weight, code=self.code), *others))

    def reward(self, pool: SandboxPool = SANDBOX, around: Surroundings = USUAL) -> OwnReward:
        return OwnReward(pool, "job", RewardSpec(name="mine", code=self.code), self.open, around)

    def grade(self, *texts: str, pool: SandboxPool = SANDBOX, **columns: Any) -> list[OwnMark]:
        """The marks of one group."""
        return self.reward(pool).grade([[Call("question", text, columns) for text in texts]])[0]


def values(marks: Sequence[OwnMark]) -> list[float | None]:
    assert not [mark.fault for mark in marks if mark.fault]
    return [mark.value for mark in marks]


__all__ = ["MODEL_FILES", "Kit", "ref", "values", "wheel"]
