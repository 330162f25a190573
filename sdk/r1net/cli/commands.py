"""Commands whose modules are imported when they are called: a program's help, and its first word, come at once."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_group

Commands = Mapping[str, Mapping[str, str]]
"""Module -> the commands that its `add_to` adds, each with its line in the program's help: the first sentence of the
command's own."""


def loaded(module: str) -> Mapping[str, Any]:
    """The commands of a module, by their names."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    import_module(module).add_to(app)
    return get_group(app).commands


class LazyGroup(TyperGroup):
    """A group that knows its commands' names and first sentences, and loads the one that is called."""

    module_of: ClassVar[Mapping[str, str]]

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """See TyperGroup."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, stand_in if name is None else loaded(self.module_of[name])[name], rest


def lazy_group(commands: Commands) -> type[LazyGroup]:
    """The class of a program's group."""
    module_of = {name: module for module, names in commands.items() for name in names}
    return type("Commands", (LazyGroup,), {"module_of": module_of})


def stand_in(app: typer.Typer, commands: Commands) -> None:
    """Put a stand-in for each command into the program's help."""
    for names in commands.values():
        for name, words in names.items():
            app.command(name, help=words)(_not_loaded)


def _not_loaded() -> None:
    """Never called: `resolve_command` puts the command itself in its place."""
    raise NotImplementedError
