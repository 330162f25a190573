"""Inside: a model's program in one process, and in another the tests that it has to pass.

The program never sees the tests, and cannot say that it passed: it is called with arguments and its results are
compared in a process that runs nothing of it. Whatever it does to its own process, it can only answer rightly or not.
Arguments and results are copies (`values`); a program that changes its arguments in place changes its copy.
Imports nothing but the standard library.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import io
import socket
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from typing import Any

from r1net.sandbox.clocks import shift_clocks
from r1net.sandbox.confine import allow_seconds
from r1net.sandbox.frames import receive, send
from r1net.sandbox.limits import FRAME_BYTES, Limits
from r1net.sandbox.values import decode, encode

Header = dict[str, Any]

_FENCE = "```"
_MOST_OUTPUT = 2**20
_EXITS: Header = {"exit": sys.exit, "quit": sys.exit}
"""What scripts take for granted, though it is no part of the language."""
_MODULES = frozenset(("math", "cmath", "re", "itertools", "collections", "functools", "random", "string", "copy"))
"""What tests use without importing it: never the program's own of that name, which might say anything."""


def run_program(channel: socket.socket, header: Header, limits: Limits) -> None:
    """Run a program on its input, and say what it printed; or load it, and answer calls of what it defines. All that it
    takes is one allowance of CPU time."""
    if header["shift"]:
        shift_clocks(header["shift"])
    allow_seconds(limits.grade_seconds)
    source = with_prompt(header["prompt"], program_of(header["text"]))
    if header["input"] is not None:
        send(channel, _printed(source, header["input"]) | {"asked": header["asked"]})
        return
    space = _EXITS | {"__name__": "program"}
    try:
        exec(compile(source, "<program>", "exec", dont_inherit=True), space)  # noqa: S102 - what this process is for
    except BaseException as error:
        send(channel, {"error": type(error).__name__[:100], "asked": header["asked"]})
        return
    send(channel, {"seconds": time.process_time(), "asked": header["asked"]})
    while True:
        call, attachments = receive(channel, FRAME_BYTES)
        try:
            positional, named = decode(attachments[0])
            said, data = {}, encode(space[call["name"]](*positional, **named))
        except BaseException as error:
            said, data = {"error": type(error).__name__[:100]}, b""
        send(channel, said | {"seconds": time.process_time(), "asked": call["asked"]}, data)


def _printed(source: str, given: str) -> Header:
    printed, sys.stdin = io.StringIO(), io.StringIO(given)
    said: Header = {}
    try:
        with redirect_stdout(printed):
            code = compile(source, "<program>", "exec", dont_inherit=True)
            exec(code, _EXITS | {"__name__": "__main__"})  # noqa: S102
    except SystemExit:
        pass  # a program may end so; what it printed counts
    except BaseException as error:
        said = {"error": type(error).__name__[:100]}
    return said | {"printed": printed.getvalue()[:_MOST_OUTPUT], "seconds": time.process_time()}


def program_of(text: str) -> str:
    """The program in an answer: its last closed block between fences, or else all of it."""
    found, end = text, 0
    while (begin := text.find(_FENCE, end)) >= 0:
        line = text.find("\n", begin)
        close = text.find("\n" + _FENCE, line) if line >= 0 else -1
        if close < 0:
            break
        found, end = text[line + 1 : close + 1], close + 1 + len(_FENCE)
    return found


def with_prompt(prompt: str, program: str) -> str:
    """The program behind what its prompt defines, where the prompt is a program itself, as in HumanEval."""
    try:
        tree = ast.parse(prompt)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return program
    defines = any(isinstance(one, ast.FunctionDef | ast.ClassDef) for one in tree.body)
    return f"{prompt}\n{program}" if defines else program


class _Lost(BaseException):
    """The program is gone: no test goes on."""


def run_tests(channel: socket.socket, header: Header, limits: Limits) -> None:
    """Run tests, each a source, whose calls of the program travel over the channel; then say how many passed."""
    allow_seconds(limits.grade_seconds)
    asked = header["asked"]

    def call(name: str, positional: tuple[Any, ...], named: Header) -> Any:
        nonlocal asked
        send(channel, {"call": name, "asked": asked}, encode((positional, named)))
        answer, attachments = receive(channel, FRAME_BYTES)
        asked = answer["asked"]
        if answer["lost"]:
            raise _Lost
        if answer["error"] is not None:
            raise _raised(answer["error"])
        return decode(attachments[0])

    try:
        setup, *tests = [_Source(text) for text in (with_prompt(header["prompt"], header["setup"]), *header["tests"])]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        send(channel, {"fault": f"its tests are no Python: {error}"[:300], "asked": asked})
        return
    passed = 0
    with suppress(_Lost):
        for test in tests:
            passed += _passes(setup, test, header["name"], call)
    send(channel, {"passed": passed, "asked": asked})


class _Source:
    """A test's code, and the names that it reads: `modules` are those of Python's own of which it takes a part."""

    def __init__(self, text: str) -> None:
        tree = ast.parse(text)
        nodes = list(ast.walk(tree))
        self.code = compile(tree, "<test>", "exec", dont_inherit=True)
        self.names = {node.id for node in nodes if isinstance(node, ast.Name)} - set(vars(builtins))
        owners = [node.value for node in nodes if isinstance(node, ast.Attribute)]
        self.modules = {owner.id for owner in owners if isinstance(owner, ast.Name)} & _MODULES


def _passes(setup: _Source, test: _Source, name: str | None, call: Callable[..., Any]) -> bool:
    """What a prompt or the set-up defines is never asked of the program, which might say anything; but for `name`."""
    space: Header = {"__name__": "tests"}
    space |= {module: importlib.import_module(module) for module in setup.modules | test.modules}
    try:
        exec(setup.code, space)  # noqa: S102 - the job's own tests
        names = test.names - space.keys() if name is None else {name}
        space |= {name: _proxy(name, call) for name in names}
        exec(test.code, space)  # noqa: S102
    except _Lost:
        raise
    except BaseException:
        return False
    return True


def _proxy(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *positional, **named: call(name, positional, named)


def _raised(name: str) -> Exception:
    """What the program raised, by its name where Python has it: a test may wait for it."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError):
        return kind("of the program")
    return RuntimeError(name)
