"""The wheel, as it would be published."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness.chain import ROOT
from tests.e2e.journeys.newcomer import Newcomer


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the checkout, in a place that everybody may read."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture
def newcomer(wheel: Path) -> Iterator[Callable[[str, str], Newcomer]]:
    """Makes a person with the wheel (and an extra of it) installed; their times are printed at the end."""
    made: list[Newcomer] = []

    def make(name: str, extra: str = "") -> Newcomer:
        person = Newcomer(name)
        made.append(person)
        person.install(person.give(wheel.name, wheel.read_bytes(), 0o644), extra)
        return person

    yield make
    for person in made:
        person.report()
        person.leave()
