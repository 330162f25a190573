"""Environments by name: the one place where a name becomes an environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from r1net.environments.base import Generator
from r1net.environments.gym import ReasoningGym
from r1net.errors import UsageError
from r1net.protocol.problems import EnvironmentSpec

_LIBRARIES: dict[str, Callable[[str, dict[str, Any]], Generator]] = {"reasoning_gym": ReasoningGym}


def load_environment(spec: EnvironmentSpec) -> Generator:
    """The generator that `library:name` means. Raises UsageError, naming what exists, when it means nothing."""
    library, _, name = spec.name.partition(":")
    if library not in _LIBRARIES or not name:
        known = ", ".join(f"{key}:<name>" for key in _LIBRARIES) + ", or rows of your own"
        raise UsageError(f"unknown environment {spec.name!r}", hint=f"use {known}")
    return _LIBRARIES[library](name, spec.config)
