"""A function of the submitter's, as a job's specification has it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from r1net.faults import in_words
from r1net.local_files import LocalFiles
from r1net.own.script import read_script
from r1net.own.source import source_of
from r1net.own.wheels import resolve
from r1net.protocol.code import Code

C = TypeVar("C", bound=Code)


def brought(given: Callable[..., Any] | Path, files: LocalFiles, kind: type[C], what: str) -> tuple[str, C]:
    """The name of a function and its code; the files are kept for the upload. `what` it is, for people. A setting of
    the file's that is not for this kind is left to another: a file may have a reward and a tool. Raises UsageError."""
    source = source_of(given, what)
    script = read_script(source.text, source.path.name)
    wheels = resolve(script.dependencies, files, script.closed)
    try:
        code = kind(
            source=files.add(source.data),
            function=source.function,
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            wheels=wheels,
            **{name: value for name, value in script.settings.items() if name in kind.model_fields},
        )
    except ValidationError as error:
        raise in_words(error, kind, f"the {what} {source.function} of {source.path.name}") from error
    return source.function, code
