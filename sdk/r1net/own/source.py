"""Which file a reward function is in, and what it is called there."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1net.errors import UsageError
from r1net.local_files import path_of

_NO_PLAIN_CALL = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_HINT = "put the function into a file of its own, at the top level, and pass it or the file"


@dataclass(frozen=True)
class Source:
    """A file's bytes and the name of a function at its top level. The whole file travels."""

    path: Path
    data: bytes
    function: str

    @property
    def text(self) -> str:
        """The file as text. Raises UsageError when it is no UTF-8."""
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path} is not UTF-8") from error


def source_of(given: Callable[..., Any] | Path, what: str = "reward") -> Source:
    """Where a function comes from: a function, `file.py` with one public function, or `file.py:function`.

    Raises UsageError on what can't travel: it would be another function there.
    """
    return _of_file(given) if isinstance(given, Path) else _of_function(given, what)


def _of_function(function: Callable[..., Any], what: str) -> Source:
    name = getattr(function, "__name__", type(function).__name__)
    fault = _fault(function)
    if fault is not None:
        raise UsageError(f"the {what} {name} can't travel: {fault}", hint=_HINT)
    path = Path(inspect.getsourcefile(function) or "")
    return Source(path, path.read_bytes(), name)


def _fault(function: Callable[..., Any]) -> str | None:
    """Why a function isn't one that its file alone makes."""
    if not inspect.isfunction(function):
        return f"it is a {type(function).__name__}, not a function"
    file = inspect.getsourcefile(function)
    of_module = getattr(sys.modules.get(function.__module__), function.__name__, None)
    faults = {
        "it is a lambda": function.__name__ == "<lambda>",
        "it is a coroutine or a generator": function.__code__.co_flags & _NO_PLAIN_CALL,
        "it is made within another function or a class, and may hold what its file does not say": (
            function.__closure__ or "." in function.__qualname__
        ),
        "it is in no file (typed into an interpreter or a notebook)": file is None or not Path(file).is_file(),
        "its module has something else under its name": of_module is not function,
    }
    return next((words for words, found in faults.items() if found), None)


def _of_file(given: Path) -> Source:
    text, _, function = str(given).rpartition(":")
    path = path_of(text if text.endswith(".py") else given)
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    data = path.read_bytes()
    return Source(path, data, function if text.endswith(".py") else _only_function(path, data))


def _only_function(path: Path, data: bytes) -> str:
    try:
        tree = ast.parse(data, str(path))
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{path} is no Python: {error}") from error
    names = [one.name for one in tree.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")]
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise UsageError(f"{path} has not one public function but {found}", hint=f"say which: {path}:function")
    return names[0]
