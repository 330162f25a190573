"""The edge of a program: whatever goes wrong inside becomes a sentence, a next step and an exit code.

Exit codes are those of `r1net.errors`; beside them 70 for a bug, whose traceback is kept in a file, 130 for Ctrl-C, and
1 without a word where nobody reads any more. With R1_DEBUG set, the traceback is shown for every error.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from r1net.cli.output import put, render_error, silence
from r1net.errors import PreflightError, R1Error
from r1net.system import in_words
from r1net.urls import scrub

OWN = frozenset({"r1net", "r1node", "r1coordinator"})


class Bug(R1Error):
    """What nobody foresaw."""

    code = "internal"
    exit_code = 70


@contextmanager
def told(as_json: bool, extra: str | None = None) -> Iterator[None]:
    """End the process on an error, told. `extra` is the extra of the distribution that this program takes."""
    try:
        try:
            yield
        finally:
            put("", end="")
    except BrokenPipeError:  # nobody reads what is printed
        silence()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        known = _known(error, extra)
        if os.environ.get("R1_DEBUG"):
            print(_trace(error), file=sys.stderr)
        fault = known or _bug(error)
        render_error(fault, as_json)
        sys.exit(fault.exit_code)


def _known(error: Exception, extra: str | None) -> R1Error | None:
    """What can be told without a traceback; None for a bug."""
    if isinstance(error, R1Error):
        return error
    if isinstance(error, OSError) and error.errno is not None:  # libraries derive errors of their own from it
        return in_words(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] not in OWN:
        return _missing(error, extra)
    return None


def _missing(error: ModuleNotFoundError, extra: str | None) -> R1Error:
    what = f"r1net[{extra}]" if extra else "r1net"
    return PreflightError(f"the Python package of {error.name!r} is not installed", hint=f"run: pip install '{what}'")


def _bug(error: Exception) -> Bug:
    words = scrub(f"{type(error).__name__}: {error}")[:300]
    try:
        kept = _kept(_trace(error))
    except OSError:  # the traceback itself then, since no file can be written
        print(_trace(error), file=sys.stderr)
        return Bug(f"a bug in r1net: {words}", hint="report it, with the traceback above")
    return Bug(f"a bug in r1net: {words}", hint=f"report it, with the traceback in {kept}")


def _kept(text: str) -> str:
    handle, name = tempfile.mkstemp(prefix="r1net-bug-", suffix=".txt")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    return name


def _trace(error: Exception) -> str:
    return scrub("".join(traceback.format_exception(error)))
