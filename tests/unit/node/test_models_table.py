"""README says what is tested, and nothing else."""

from __future__ import annotations

from tests.unit.node.models_table import README, written


def test_the_table_is_that_of_the_tests() -> None:
    text = README.read_text()
    assert text == written(text)
