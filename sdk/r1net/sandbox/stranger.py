"""Inside: a function of a job's own, called with one item at a time, in a process that serves one group.

The function may take over its process completely: it then gives marks and answers to its own job's completions, which
it does anyway. What it says is checked outside, by `own` and `own_tool`. Imports nothing but the standard library.
"""

from __future__ import annotations

import importlib.util
import marshal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from r1net.sandbox import forking
from r1net.sandbox.clocks import shift_clocks
from r1net.sandbox.confine import allow_seconds
from r1net.sandbox.frames import Ended, receive, send
from r1net.sandbox.limits import FRAME_BYTES, Limits
from r1net.sandbox.programs import run_program, run_tests

Header = dict[str, Any]

MAPPED = 64 * 2**20
"""What an interpreter that has loaded nothing is taken to hold, on every machine: a job's memory is its own beyond."""
LARGEST = 1e9
"""A mark is no larger than this: weighted sums stay finite and precise."""
LONGEST = 20_000
"""Characters of a tool's answer."""
_WORDS = 300


def main() -> None:
    """Serve until the parent is gone."""
    forking.run(_serve, _forget, MAPPED)


def _forget() -> None:
    """What was needed to get here is nothing that a stranger's code could import."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("r1net", "landlock")]:
        del sys.modules[name]
    sys.path_importer_cache.clear()
    sys.modules["__main__"] = ModuleType("__main__")
    sys.argv = [""]


def _serve(channel: socket.socket, limits: Limits) -> None:
    actions: dict[str, Callable[[socket.socket, Header, Limits], None]] = {
        "grade": partial(_call, _mark),
        "reply": partial(_call, _reply),
        "compile": _compile,
        "program": run_program,
        "tests": run_tests,
    }
    try:
        while True:
            header, _ = receive(channel, FRAME_BYTES)
            actions[header["op"]](channel, header, limits)
    except Ended:
        return


def _call(
    one: Callable[[Callable[..., Any], Header], Header], channel: socket.socket, header: Header, limits: Limits
) -> None:
    """A message when the file is loaded, then one for each call: whoever ends this process is known by its place."""
    asked = {"asked": header["asked"]}
    if header["shift"]:
        shift_clocks(header["shift"])
    allow_seconds(limits.setup_seconds)
    try:
        function = _load(Path(header["folder"]), header["function"])
    except BaseException as error:
        allow_seconds(0)
        send(channel, {"fault": f"its file can't be loaded: {_words(error)}"} | asked)
        return
    allow_seconds(0)
    send(channel, asked)
    for call in header["calls"]:
        allow_seconds(limits.grade_seconds)
        began = time.process_time()
        found = one(function, call)
        allow_seconds(0)
        send(channel, found | {"seconds": time.process_time() - began} | asked)


def _load(folder: Path, name: str) -> Callable[..., Any]:
    sys.path.append(str(folder / "site"))
    spec = importlib.util.spec_from_file_location("__own__", folder / "own.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["__own__"] = module
    spec.loader.exec_module(module)
    function = getattr(module, name)
    if not callable(function):
        raise TypeError(f"{name} is no function")
    return function  # type: ignore[no-any-return]


def _mark(function: Callable[..., Any], call: Header) -> Header:
    columns = {name: [value] for name, value in call["columns"].items()}
    try:
        found = function(prompts=[call["prompt"]], completions=[call["completion"]], **columns)
        return _checked(found)
    except BaseException as error:
        return {"fault": _words(error)}


def _checked(found: Any) -> Header:
    """Nothing that could mean another number to another reader: no subclass, no truth value, no NaN."""
    if type(found) is not list:
        return {"fault": f"it returns {type(found).__name__}, not a list"}
    if len(found) != 1:
        return {"fault": f"it returns {len(found)} values for one completion"}
    value = found[0]
    if value is None:
        return {"value": None}
    if type(value) is not float and type(value) is not int:
        return {"fault": f"it returns a list of {type(value).__name__}, not of float (say float(…)) or None"}
    if not -LARGEST <= value <= LARGEST:
        return {"fault": f"it returns {value!r:.40}: no number, or beyond {LARGEST:g}"}
    return {"value": float(value)}


def _reply(function: Callable[..., Any], call: Header) -> Header:
    try:
        found = function(call["prompt"], call["turns"], **call["columns"])
        if found is None:
            return {"reply": None}
        if type(found) is not str:
            return {"fault": f"it returns {type(found).__name__}, not a str or None"}
        if len(found) > LONGEST:
            return {"fault": f"it returns {len(found)} characters; {LONGEST} are taken"}
        found.encode()  # halves of characters can't be sent
        return {"reply": found}
    except BaseException as error:
        return {"fault": _words(error)}


def _words(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "it takes more memory than the job allows it"
    try:
        return f"{type(error).__name__}: {error}"[:_WORDS]
    except BaseException:
        return type(error).__name__[:_WORDS]


def _compile(channel: socket.socket, header: Header, _limits: Limits) -> None:
    """A message for each file: its code object, marshalled; nothing for what is no Python of this version."""
    for name in header["files"]:
        allow_seconds(header["seconds"])
        try:
            code = compile(Path(name).read_bytes(), name, "exec", dont_inherit=True)
            data = marshal.dumps(code)
        except Exception:  # whatever a stranger's file makes of the compiler: the import will say it again
            data = b""
        allow_seconds(0)
        send(channel, {"asked": header["asked"]}, data)
