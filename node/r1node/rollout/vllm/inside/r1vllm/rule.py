"""The node's own sampling rule, from the same file that the built-in engine and the verifiers use."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

PACKAGES = "R1_PACKAGES"
"""Environment variable: JSON, the folders of the node's own packages by their names."""


class Sampling(NamedTuple):
    """The fields of `r1net.protocol.job.Sampling` that the rule reads."""

    temperature: float
    top_p: float
    top_k: int


BLOCK = 512
"""Uniforms drawn of a stream at a time."""


class Stream:
    """The uniforms of one seed, drawn as far as they are needed."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=seed))
        self._drawn = np.empty(0)

    def at(self, step: int) -> float:
        """The uniform in [0, 1) for completion token `step`."""
        while step >= len(self._drawn):
            self._drawn = np.concatenate([self._drawn, self._generator.random(BLOCK)])
        return float(self._drawn[step])


def load_rule() -> Callable[..., Any]:
    """`r1node.rollout.sampler.sample`.

    The node's packages are no part of this environment, and most of what they import isn't either: they are entered
    as bare folders, so that the sampler finds its neighbours and nothing else is run.
    """
    for name, folder in json.loads(os.environ[PACKAGES]).items():
        for package in (name, f"{name}.rollout", f"{name}.protocol"):
            module = sys.modules.setdefault(package, ModuleType(package))
            module.__path__ = [os.path.join(folder, *package.split(".")[1:])]
    messages = sys.modules.setdefault("r1net.protocol.job", ModuleType("r1net.protocol.job"))
    messages.Sampling = Sampling  # type: ignore[attr-defined] # named in annotations alone
    rule: Callable[..., Any] = importlib.import_module("r1node.rollout.sampler").sample
    return rule
