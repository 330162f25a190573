"""An answer is data: whatever library reads it, no text of it runs as code.

Public graders call `eval`, or parsers that end in `eval`, on answers (`[1, 2, 3]`, `(3 + 4) * 2`). Python tells an
audit hook (PEP 578) of every code object before it runs; this one lets literals and arithmetic through, and calls of
plain names that mathematics has, and nothing that reaches further: no attribute, no import, no function, no
comprehension. The hook can't be taken out again. What it stops is an exception in the grader, which means: not a
readable answer.
"""

from __future__ import annotations

import builtins
import dis
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

_OPERATIONS = frozenset(
    {
        *("RESUME", "CACHE", "NOP", "POP_TOP", "COPY", "SWAP", "PUSH_NULL", "PRECALL", "CALL", "KW_NAMES", "CALL_KW"),
        *("LOAD_CONST", "LOAD_SMALL_INT", "LOAD_NAME", "RETURN_VALUE", "RETURN_CONST", "EXTENDED_ARG", "NOT_TAKEN"),
        *("BINARY_OP", "UNARY_NEGATIVE", "UNARY_POSITIVE", "UNARY_INVERT", "UNARY_NOT", "CALL_INTRINSIC_1", "TO_BOOL"),
        *("COMPARE_OP", "IS_OP", "CONTAINS_OP"),
        *("BUILD_LIST", "BUILD_TUPLE", "BUILD_SET", "BUILD_MAP", "BUILD_CONST_KEY_MAP", "BUILD_STRING"),
        *("LIST_EXTEND", "LIST_TO_TUPLE", "SET_UPDATE"),
    }
)
_HARMLESS = frozenset({"abs", "min", "max", "pow", "round", "sum", "int", "float", "True", "False", "None"})
_STATEFUL = frozenset({"var", "init_printing", "init_session", "preview", "plot", "lambdify", "test", "doctest"})
"""Names of sympy that change more than they return."""
_SYMPY = compile("from sympy import *", "<string>", "exec")
"""What sympy's parser runs to fill its own namespace."""

_FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill", "os.killpg"),
    *("os.putenv", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink"),
    *("subprocess.", "socket.", "ctypes.", "pty.", "shutil.", "pickle.", "marshal.", "mmap.", "signal.", "gc."),
    *("sys.settrace", "sys.setprofile", "cpython.", "webbrowser.", "urllib.", "ftplib.", "smtplib.", "resource."),
)
_MODULE_LOADER = "<frozen importlib._bootstrap>"
_MAKERS = (
    *("dataclasses", "collections", "networkx.utils.decorators", "reasoning_gym.code.codeio"),
    *("sympy.polys.monomials", "sympy.polys.ring_series"),
)
"""Who runs code made of strings that are not an answer's: classes and products made at run time, and the generator
whose problems are programs that the library ships."""

_guarding = False


class NotData(Exception):
    """Text of an answer would have become code."""


@contextmanager
def only_data() -> Iterator[None]:
    """Within, code made of strings may only compute."""
    global _guarding  # noqa: PLW0603 - the hook has no other way to know
    _guarding = True
    try:
        yield
    finally:
        _guarding = False


def install() -> None:
    """Set the hook for the rest of the process's life."""
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _guarding:
        return
    if event == "exec":
        _check(arguments[0], sys._getframe(1))
    elif event.startswith(_FORBIDDEN) and not _is_library(sys._getframe(1)):
        raise NotData(f"{event} while reading an answer")


def _check(code: CodeType, caller: FrameType) -> None:
    if not code.co_filename.startswith("<") or code == _SYMPY or _is_library(caller):
        return
    operations = {instruction.opname for instruction in dis.get_instructions(code)}
    if not operations <= _OPERATIONS:
        raise NotData(f"{', '.join(sorted(operations - _OPERATIONS))} in an answer")
    for name in code.co_names:
        if name not in _HARMLESS and (name.startswith("_") or name in _STATEFUL or hasattr(builtins, name)):
            raise NotData(f"{name!r} in an answer")


def _is_library(frame: FrameType | None) -> bool:
    """Whether a maker of code asks, or a module is being loaded."""
    if frame is not None and frame.f_globals.get("__name__") in _MAKERS:
        return True
    while frame is not None:
        if frame.f_code.co_filename == _MODULE_LOADER:
            return True
        frame = frame.f_back
    return False
