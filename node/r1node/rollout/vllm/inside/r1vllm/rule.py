"""The node's own sampling rule, from the same file that the built-in engine and the verifiers use."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

PACKAGES = "R1_PACKAGES"
"""Environment variable: JSON, the folders of the node's own packages by their names."""


class Sampling(NamedTuple):
    """The fields of `r1net.protocol.job.Sampling` that the rule reads."""

    temperature: float
    top_p: float
    top_k: int


class Rule(NamedTuple):
    """`r1node.rollout.sampler.sample`, and `r1node.rollout.noise.Stream`."""

    sample: Callable[..., Any]
    stream: Callable[[int, int], Any]


def load_rule() -> Rule:
    """The rule that this environment's requests are drawn by.

    The node's packages are no part of this environment, and most of what they import isn't either: they are entered
    as bare folders, so that the sampler finds its neighbours and nothing else is run.
    """
    for name, folder in json.loads(os.environ[PACKAGES]).items():
        for package in (name, f"{name}.rollout", f"{name}.protocol"):
            module = sys.modules.setdefault(package, ModuleType(package))
            module.__path__ = [os.path.join(folder, *package.split(".")[1:])]
    messages = sys.modules.setdefault("r1net.protocol.job", ModuleType("r1net.protocol.job"))
    messages.Sampling = Sampling  # type: ignore[attr-defined] # named in annotations alone
    sampler, noise = (importlib.import_module(f"r1node.rollout.{name}") for name in ("sampler", "noise"))
    return Rule(sampler.sample, noise.Stream)
