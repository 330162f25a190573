import importlib
import importlib.util
import random
import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

SETTINGS: dict[str, Any] = {}


class RefusedError(Exception):
    """What can't travel, in words."""


class Lazy(ModuleType):
    """A package whose `__init__` isn't run: what is asked of it is looked up by `find` when it is asked for."""

    def __init__(self, name: str, folder: str, find: Callable[[str], Any]) -> None:
        super().__init__(name)
        self.__path__ = [folder]
        self._find = find
        sys.modules[name] = self
        parent, _, own = name.rpartition(".")
        if parent:
            setattr(importlib.import_module(parent), own, self)

    def __getattr__(self, name: str) -> Any:
        """Only what isn't there yet."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = self._find(name)
        setattr(self, name, found)
        return found


@cache
def module() -> ModuleType:
    """The environment's own module: a package's, or the one file that the settings hold."""
    name, source = SETTINGS["module"], SETTINGS["source"]
    if source is None:
        return importlib.import_module(name)
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        raise RefusedError(f"there is a module {name} already: give {name}.py another name")
    made = sys.modules[name] = ModuleType(name)
    made.__spec__ = importlib.util.spec_from_loader(name, None)
    exec(compile(source, f"{name}.py", "exec"), made.__dict__)  # noqa: S102 - the submitter's own, as this file is
    return made


def seed_all(seed: int) -> None:
    """Environments draw from the process's own generators; what is made of a row must be the same everywhere."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)


def turns_of(completion: Any) -> list[str]:
    """What the model said, turn by turn: of a completion that is a text, or messages as TRL gives them."""
    if isinstance(completion, str):
        return [completion]
    return [message["content"] for message in completion if message["role"] == "assistant"]


def said(turn: str) -> str:
    """A turn without the reasoning before it."""
    if "<think>" in turn and "</think>" not in turn:
        return ""
    return turn.rpartition("</think>")[2].strip()
