"""This host's sandbox: where the problems, prompts and rewards of strangers' jobs are computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from r1net.environments import Mix
from r1net.protocol.job import JobSpec
from r1net.sandbox import Limits, SandboxedScorer, SandboxPool
from r1node.settings import Settings

_PROCESSES = 2


def open_sandbox(settings: Settings) -> SandboxPool:
    """A running sandbox. Raises PreflightError where this machine offers no boundary, SandboxFailed."""
    sandbox = SandboxPool(_PROCESSES, Limits.of_node(), settings.unsafe_no_sandbox)
    sandbox.start()
    return sandbox


def job_scorer(
    sandbox: SandboxPool,
    spec: JobSpec,
    model_dir: Path,
    files: Callable[[str], Path] | None = None,
    mix: Mix | None = None,
) -> SandboxedScorer:
    """A job's scorer. Its files are read when they are needed; `files` brings those beside the model's, without which
    it can grade no completion of a job on rows, or with rewards of its own, and `mix` the weights of a curriculum's
    rounds after the first."""
    tokenizer, config = (model_dir / name for name in ("tokenizer.json", "config.json"))
    return SandboxedScorer(sandbox, spec, tokenizer.read_bytes, config.read_bytes, files=files, mix=mix)
