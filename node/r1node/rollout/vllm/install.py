"""Build vLLM's environment with pip, at pinned versions, step by step.

pip's own configuration holds (index, proxies, find-links). On a machine without a GPU it installs the CPU build; on
one with CUDA the official wheel, a step that the tests never run: they have no GPU.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from r1net.errors import PreflightError
from r1node.locks import exclusive
from r1node.rollout.vllm.environment import INSTALL, VERSION, Environment, Variant

REQUIREMENTS = Path(__file__).with_name("requirements-cpu.txt")
LOG_TAIL = 5
"""Lines of a failed step that the error repeats; the rest is in the log."""

LINE = 200

Say = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One command; each can be repeated, and is quick when it was done before."""

    title: str
    command: tuple[str, ...]


def plan(environment: Environment, variant: Variant) -> list[Step]:
    """The commands that make the environment."""
    python = str(environment.python)
    pip = (python, "-m", "pip", "install")
    steps = []
    if not environment.python.exists():
        steps.append(Step("creating the environment", (sys.executable, "-m", "venv", str(environment.folder))))
    steps.append(Step("pip", (*pip, "pip==25.3")))
    if variant == "cuda":
        steps.append(Step(f"vLLM {VERSION} for CUDA (several GB)", (*pip, f"vllm=={VERSION}")))
    else:
        steps.append(Step("PyTorch", (*pip, "setuptools==78.1.1", "torch==2.13.0")))
        steps.append(Step(f"vLLM {VERSION} for CPU", (*pip, "--no-deps", "--requirement", str(REQUIREMENTS))))
    check = f"import vllm; assert vllm.__version__.startswith('{VERSION}'), vllm.__version__"
    steps.append(Step("trying it", (python, "-c", check)))
    return steps


def install(environment: Environment, variant: Variant, say: Say) -> None:
    """Carry out the plan; what an earlier, interrupted run did is not done again. Raises PreflightError naming the
    step that failed."""
    with _alone(environment.folder):
        if environment.variant not in (None, variant):
            raise PreflightError(
                f"{environment.folder} holds vLLM for {environment.variant}", hint="remove that folder first"
            )
        environment.marker.unlink(missing_ok=True)
        log = environment.folder / "install.log"
        log.unlink(missing_ok=True)
        steps = plan(environment, variant)
        for number, step in enumerate(steps, 1):
            say(f"[{number}/{len(steps)}] {step.title}")
            run(step, log)
        environment.complete(variant)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        with exclusive(folder):
            yield
    except PreflightError as error:
        if "running already" not in error.message:
            raise
        raise PreflightError(f"{folder} is being installed already", hint="wait for the other command") from None


def run(step: Step, log: Path) -> None:
    """One step, its words appended to the log."""
    with log.open("ab") as file:
        done = subprocess.run(step.command, stdout=file, stderr=subprocess.STDOUT, check=False)  # noqa: S603
    if done.returncode != 0:
        raise PreflightError(
            f"installing vLLM failed at {step.title!r} (exit code {done.returncode}): {tail(log, LOG_TAIL)}",
            hint=f"see {log}; `{INSTALL}` goes on where it stopped",
        )


def tail(log: Path, lines: int) -> str:
    """The last lines of a log that say something, each cut to a readable length."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    told: Sequence[str] = [line.strip() for line in text.splitlines() if line.strip(" ^~|\t")]
    return " | ".join(line[:LINE] for line in told[-lines:])
