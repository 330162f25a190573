"""What the two programs have in common: how a command's answer is shown, and how an error becomes an exit code."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer

from r1net.cli.arguments import shared_first
from r1net.cli.commands import Commands, lazy_group, stand_in
from r1net.cli.edge import told
from r1net.cli.output import render
from r1net.errors import UsageError
from r1net.urls import scrub_output


def show(result: Any, **options: Any) -> None:
    """Print what a command returned; some results carry an exit code."""
    render(result, options["json"])
    raise typer.Exit(getattr(result, "exit_code", 0))


def application(words: str | None, commands: Commands) -> typer.Typer:
    """A program of commands that return what is shown; `words` is its help."""
    app = typer.Typer(
        cls=lazy_group(commands),
        help=words,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        result_callback=show,
    )
    stand_in(app, commands)
    return app


def _say_version(asked: bool) -> None:
    if asked:
        print(version("r1net"))
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_say_version, help="say which version this is")
]


def run(app: typer.Typer, shared: tuple[str, ...], extra: str | None = None) -> None:
    """Run a command; the one place where an error becomes words and an exit code. `extra`: see `told`."""
    scrub_output()
    arguments = shared_first(sys.argv[1:], shared)
    as_json = "--json" in arguments
    with told(as_json, extra):
        sys.exit(_as_json(app, arguments) if as_json else app(arguments))


def _as_json(app: typer.Typer, arguments: list[str]) -> int:
    """Run a command whose wrong usage is told as JSON, too."""
    try:
        return int(app(arguments, standalone_mode=False) or 0)
    except typer.Abort as error:
        raise UsageError("nothing was answered") from error
    except typer.TyperException as error:
        raise UsageError(error.format_message(), hint="add --help to see what there is") from error
