"""Which rollout engine this host uses, and why: decided here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import RolloutEngine
from r1node.rollout.vllm.engine import VllmEngine
from r1node.rollout.vllm.environment import INSTALL, Environment
from r1node.settings import Settings

EngineName = Literal["builtin", "vllm"]


@dataclass(frozen=True)
class EngineChoice:
    """An engine by name, the reason in words, and what it takes to make one."""

    name: EngineName
    reason: str
    environment: Environment
    threads: int = 1

    def make(self, config: Any, dtype: torch.dtype, device: str, folder: Path) -> RolloutEngine:
        """The engine for a model's configuration. `folder` is for what it keeps."""
        if self.name == "vllm":
            return VllmEngine(config, dtype, device, self.environment, folder, self.threads)
        return BuiltinEngine(config, dtype, device)


def choose(settings: Settings, device: str) -> EngineChoice:
    """The engine for a device ("cpu", "cuda", "cuda:1"). Raises PreflightError when vLLM is asked for and missing."""
    environment = Environment(settings.vllm_folder)
    name, reason = _decide(settings.engine, environment, device)
    return EngineChoice(name, reason, environment, settings.threads or torch.get_num_threads())


def _decide(wanted: str, environment: Environment, device: str) -> tuple[EngineName, str]:
    if wanted == "vllm":
        environment.require()
        return "vllm", "it is set"
    if wanted == "builtin":
        return "builtin", "it is set"
    if device == "cpu":
        return "builtin", "no GPU, and on a CPU it is faster than vLLM"
    match environment.variant:
        case "cuda":
            return "vllm", "there is a GPU, and vLLM is installed"
        case "cpu":
            return (
                "builtin",
                f"there is a GPU, but vLLM is installed for CPUs; `{INSTALL}` on this machine changes that",
            )
        case None:
            return "builtin", f"there is a GPU, but vLLM is not installed; `{INSTALL}` changes that"
