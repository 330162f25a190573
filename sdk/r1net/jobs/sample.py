"""A sample of a job's own completions, taken by a node that is installed beside this package: in its own process, and
asked in messages."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import Field

from r1net.errors import R1Error
from r1net.jobs.signal import Signal
from r1net.protocol.canonical import Message
from r1net.protocol.job import JobSpec

GROUPS = 16


class NoSample(R1Error):
    """A sample of the model's own completions could not be taken here."""

    code = "no_sample"


class SampleRequest(Message):
    """What is asked: `groups` groups of a job's first round, from the model's folder and the job's other files."""

    spec: JobSpec
    model: str
    files: str
    groups: int = Field(default=GROUPS, ge=1, le=4096)


def take_sample(
    spec: JobSpec, folder: Path, files: Path, groups: int = GROUPS, note: Callable[[str], None] = lambda words: None
) -> Signal:
    """Have the node beside sample the job's first groups. `note` hears how far it is. Raises NoSample in words."""
    if importlib.util.find_spec("r1node") is None or importlib.util.find_spec("torch") is None:
        raise NoSample("no engine is installed here to sample with", hint="pip install 'r1net[node]', or sample=0")
    request = SampleRequest(spec=spec, model=str(folder.resolve()), files=str(files.resolve()), groups=groups)
    with subprocess.Popen(
        [sys.executable, "-m", "r1node.signal"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended, and says why
            process.stdin.write(request.model_dump_json())
            process.stdin.close()
        last = ""
        for line in process.stderr:
            last = line.strip() or last
            if line.startswith("sampled "):
                note(line.strip())
        answer = process.stdout.read()
    if process.returncode:
        raise _failed(last)
    return Signal.parse(answer)


def _failed(last: str) -> NoSample:
    try:
        problem = json.loads(last)
        return NoSample(f"the sample failed: {problem['message']}", hint=problem.get("hint"))
    except (ValueError, KeyError, TypeError):
        return NoSample(f"the sample failed: {last[:300]}")
