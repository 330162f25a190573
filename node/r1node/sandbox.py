"""This host's sandbox: where the problems, prompts and rewards of strangers' jobs are computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
    sandbox: SandboxPool, spec: JobSpec, model_dir: Path, open_: Callable[[str], bytes] | None = None
) -> SandboxedScorer:
    """A job's scorer. Its files are read when they are needed; `open_` brings those of its own rewards, without which
    it can grade no completion of a job that has any."""
    tokenizer, config = (model_dir / "tokenizer.json").read_bytes, (model_dir / "config.json").read_bytes
    if open_ is None:
        return SandboxedScorer(sandbox, spec, tokenizer, config)
    return SandboxedScorer(sandbox, spec, tokenizer, config, open_=open_)
