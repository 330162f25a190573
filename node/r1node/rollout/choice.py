"""Which rollout engine this host uses, and why: decided here and nowhere else."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from r1net.errors import UsageError
from r1net.protocol.architectures import FAMILIES
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import RolloutEngine
from r1node.rollout.transformers import TransformersEngine
from r1node.rollout.vllm.engine import VllmEngine
from r1node.rollout.vllm.environment import INSTALL, Environment
from r1node.settings import Settings
from r1node.training.policy import TrainablePolicy

log = logging.getLogger(__name__)

EngineName = Literal["builtin", "vllm"]


@dataclass(frozen=True)
class EngineChoice:
    """An engine by name, the reason in words, and what it takes to make one. `required`: no other will do."""

    name: EngineName
    reason: str
    environment: Environment
    threads: int = 1
    required: bool = False
    share: float = 1.0

    def make(self, policy: TrainablePolicy, dtype: torch.dtype, device: str, folder: Path) -> RolloutEngine:
        """The engine for a policy's model. `folder` is for what it keeps. Raises UsageError for a model that vLLM
        doesn't serve."""
        if self.name == "vllm" and self._served(policy.config.model_type):
            return VllmEngine(policy.config, dtype, device, self.environment, folder, self.threads, self.share)
        if policy.why_not_plain is None:
            return BuiltinEngine(policy.config, dtype, device)
        log.info("decoding with transformers, at a fraction of the speed: %s", policy.why_not_plain)
        return TransformersEngine(policy.module, dtype, device)

    def _served(self, model_type: str) -> bool:
        """Whether vLLM takes the model's weights. Raises UsageError where the host wants vLLM and nothing else."""
        family = FAMILIES.get(model_type)
        if family is not None and family.vllm:
            return True
        if self.required:
            raise UsageError(f"no test holds vLLM against {model_type} models", hint="engine = auto takes another")
        log.info("vLLM is passed over: no test holds it against %s models", model_type)
        return False


def choose(settings: Settings, device: str) -> EngineChoice:
    """The engine for a device ("cpu", "cuda", "cuda:1"). Raises PreflightError when vLLM is asked for and missing."""
    environment = Environment(settings.vllm_folder)
    name, reason = _decide(settings.engine, environment, device)
    return EngineChoice(
        name,
        reason,
        environment,
        settings.threads or torch.get_num_threads(),
        settings.engine == name,
        settings.gpu_memory,
    )


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
