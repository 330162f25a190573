"""`r1node engine list` and `r1node engine install`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum

import typer

from r1node.cli.context import Context
from r1node.settings import Settings


class Installable(StrEnum):
    """Engines that need an environment of their own."""

    VLLM = "vllm"


@dataclass(frozen=True)
class EngineRow:
    """One engine on this host. `reason` stands with the one that `join` would use."""

    engine: str
    installed: str
    place: str
    chosen: bool
    reason: str | None


def list_engines(ctx: typer.Context) -> list[EngineRow]:
    """The engines there are, and which one `join` would use."""
    context: Context = ctx.obj
    return list_rows(context.settings)


def list_rows(settings: Settings) -> list[EngineRow]:
    """One row for each engine."""
    from r1node.devices import pick_device  # noqa: PLC0415
    from r1node.rollout.choice import choose  # noqa: PLC0415 - it loads torch

    choice = choose(settings, pick_device(settings.device))
    variant = choice.environment.variant
    held = {
        "builtin": ("yes", "part of r1node"),
        "vllm": (f"yes, for {variant}" if variant else "no", str(choice.environment.folder)),
    }
    return [
        EngineRow(name, installed, place, name == choice.name, choice.reason if name == choice.name else None)
        for name, (installed, place) in held.items()
    ]


def install_engine(ctx: typer.Context, engine: Installable) -> list[EngineRow]:
    """Install an engine into an environment of its own; run again, it goes on where it stopped."""
    import torch  # noqa: PLC0415 - it takes seconds

    from r1node.rollout.vllm.environment import Environment, Variant  # noqa: PLC0415
    from r1node.rollout.vllm.install import install  # noqa: PLC0415

    context: Context = ctx.obj
    settings = context.settings
    variant: Variant = "cuda" if torch.cuda.is_available() else "cpu"
    install(Environment(settings.vllm_folder), variant, lambda words: print(words, file=sys.stderr, flush=True))
    return list_engines(ctx)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="rollout engines", no_args_is_help=True)
    group.command("list")(list_engines)
    group.command("install")(install_engine)
    app.add_typer(group, name="engine")
