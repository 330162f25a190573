"""Fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.coordinator.network import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A coordinator on a fresh SQLite file."""
    made = World(tmp_path)
    yield made
    made.kill()
