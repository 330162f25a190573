"""Answers that a library's verifier chokes on: worth nothing, and no error."""

from __future__ import annotations

import pytest

from r1net.environments import load_environment
from r1net.protocol.problems import EnvironmentSpec


@pytest.mark.parametrize(
    ("generator", "answer"),
    [("prime_factorization", "foo"), ("boxnet", "-1"), ("coin_flip", "1e999"), ("game_of_life", "{}")],
)
def test_an_answer_that_cannot_be_read_scores_nothing(generator: str, answer: str) -> None:
    environment = load_environment(EnvironmentSpec(name=f"reasoning_gym:{generator}"))
    assert environment.verify(environment.problem(1), answer) == 0.0
