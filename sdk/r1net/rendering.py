"""`python rendering.py`: renders a chat template, which is a stranger's program, in a process that can be killed.

It reads {"template", "now", "conversations": [variables, …]} from its standard input and writes {"texts": […]}, or
{"kind", "fault"} where the template is at fault. It imports nothing but Jinja, so that it starts in a moment, and knows
nothing of its parent: no environment, no files open. Bounds, all of them the kernel's or the loop's own: CPU seconds,
memory, open files, the length of the text; `range` is Jinja's, at most 100,000 numbers long.

What a template finds is what transformers gives it (`transformers.utils.chat_template_utils`): Jinja's sandbox with
trimmed blocks, loop controls and `{% generation %}`; `tojson`, `raise_exception`, `strftime_now`, `dict`, `namespace`.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

MOST_CHARACTERS = 1 << 20
CPU_SECONDS = 5
MEMORY_BYTES = 512 * 2**20


class Refusal(TemplateError):
    """The template itself said no, with `raise_exception`."""


class TooLong(Exception):
    """The text grows beyond what a prompt may have."""


class Generation(Extension):
    """`{% generation %}…{% endgeneration %}` marks what an assistant said; the text is the same with and without."""

    tags = {"generation"}  # noqa: RUF012 - Jinja declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        """A block that calls `_inner` with its body."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_inner"), [], [], body).set_lineno(line)

    def _inner(self, caller: Macro) -> str:
        return str(caller())


class PlainNamespace(Namespace):
    """Jinja's namespace without names that begin with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # `namespace(self=…)` is a name like any other
        self, *given = args
        values = dict(*given, **kwargs)
        for name in values:
            _check_name(name)
        Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


class PlainDict:
    """`dict(…)` and `dict.fromkeys(…)`, and nothing else of Python's class."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        """See dict.fromkeys."""
        return dict.fromkeys(*args)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace takes no name that begins with an underscore: {name!r}")


def _refuse(message: str) -> None:
    raise Refusal(message)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """JSON as it is: Jinja's own filter escapes it for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment(now: datetime) -> ImmutableSandboxedEnvironment:
    """What a template runs in, at the time `now`."""

    def strftime_now(format: str) -> str:
        return now.strftime(format)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    made.filters["tojson"] = _tojson
    made.globals |= {"raise_exception": _refuse, "strftime_now": strftime_now}
    made.globals |= {"dict": PlainDict(), "namespace": PlainNamespace}
    return made


def render(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request. Whatever a template raises is an answer too."""
    try:
        template = environment(datetime.fromisoformat(request["now"])).from_string(request["template"])
        return {"texts": [_bounded(template.generate(**variables)) for variables in request["conversations"]]}
    except Exception as error:
        return {"kind": type(error).__name__, "fault": _words(error)[:500]}


def _words(error: Exception) -> str:
    match error:
        case TemplateSyntaxError():
            return f"line {error.lineno}: {error.message}"
        case Refusal() | UndefinedError() | SecurityError():
            return str(error.message)
        case TooLong():
            return f"its text is longer than {MOST_CHARACTERS} characters"
        case MemoryError() | RecursionError():
            return f"it takes more than {MEMORY_BYTES >> 20} MiB, or is nested too deep"
        case _:
            return f"{type(error).__name__}: {error}"


def _bounded(pieces: Iterator[str]) -> str:
    text, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > MOST_CHARACTERS:
            raise TooLong
        text.append(piece)
    whole = "".join(text)
    whole.encode()  # halves of surrogate pairs are no text
    return whole


def main() -> None:
    """Answer one request. The bounds come before the first byte of it."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer = render(json.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
