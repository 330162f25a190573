"""What the programs load before they say something: help, the version and the first word wait for no library."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command

import r1net
import r1net.chain
from r1net.cli.commands import Commands, loaded

HEAVY = ("torch", "web3", "pyarrow", "hivemind", "transformers", "numpy", "py_ecc", "eth_account", "httpx", "fastapi")


def loaded_by(program: str, *arguments: str, folder: Path) -> tuple[str, set[str]]:
    """What a program prints, and which of the heavy modules it has loaded by then."""
    code = (
        f"import sys, atexit; sys.argv = ['program', *{arguments!r}]\n"
        f"atexit.register(lambda: print('loaded:', *(m for m in {HEAVY!r} if m in sys.modules)))\n"
        f"from {program} import main\nmain()"
    )
    env = os.environ | {"HOME": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=env, check=True)
    words, _, modules = done.stdout.rpartition("loaded:")
    return words, set(modules.split())


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("r1node.cli.main", ("--help",)),
        ("r1node.cli.main", ("join", "--help")),
        ("r1node.cli.main", ("config", "show")),
        ("r1node.cli.main", ("--version",)),
        ("r1net.cli.main", ("--help",)),
        ("r1net.cli.main", ("--version",)),
        ("r1coordinator.cli", ("--help",)),
    ],
)
def test_help_waits_for_no_library(program: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    words, modules = loaded_by(program, *arguments, folder=tmp_path)
    assert words.strip()
    assert not modules


@pytest.mark.parametrize("program", ["r1node.cli.main", "r1net.cli.main"])
def test_the_help_lists_each_command_as_it_describes_itself(program: str) -> None:
    main = import_module(program)
    commands: Commands = main.COMMANDS
    shown = get_command(main.app).commands  # type: ignore[attr-defined]
    own = {name: command for module in commands for name, command in loaded(module).items()}
    assert shown.keys() == own.keys()
    for name, command in own.items():
        assert shown[name].get_short_help_str(1000) == command.get_short_help_str(1000), name
        assert "  " not in shown[name].help


def test_every_module_of_a_program_is_one_of_its_commands() -> None:
    import r1node.cli

    folder = Path(str(r1node.cli.__file__)).parent
    named = {f"r1node.cli.{file.stem}" for file in folder.glob("*.py") if "def add_to(" in file.read_text()}
    assert named == set(import_module("r1node.cli.main").COMMANDS)


def test_a_mistyped_command_is_answered_with_the_nearest(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['r1node', 'jion']\nfrom r1node.cli.main import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Did you mean 'join'" in done.stderr


@pytest.mark.parametrize("package", [r1net, r1net.chain])
def test_public_names_are_there_though_nothing_is_loaded(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]
    assert all(getattr(package, name).__name__ == name for name in names if name != "R1")
    assert set(names) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        package.Clinet  # type: ignore[attr-defined]  # noqa: B018


def test_modules_of_the_package_are_its_attributes() -> None:
    assert r1net.errors.R1Error is r1net.R1Error
