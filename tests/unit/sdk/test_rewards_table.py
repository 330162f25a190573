"""docs/rewards.md says what is registered, with its settings, and its examples are settings that are taken."""

from __future__ import annotations

import json
import re

import pytest
from pydantic import ValidationError

from r1net.protocol.job import RewardSpec
from r1net.rewards import RewardSet, names
from r1net.rewards.registry import _OUTSIDE, _REWARDS
from tests.unit.sdk.rewards_table import DOCUMENT, STATED, written


def test_the_table_is_that_of_the_registry() -> None:
    text = DOCUMENT.read_text()
    assert text == written(text)
    assert list(STATED) == names()


@pytest.mark.parametrize("name", names())
def test_the_settings_are_those_that_the_reward_takes(name: str) -> None:
    """It refuses one that isn't in its model, and what it wants is what the model wants."""
    needed = {key for key, field in STATED[name][1].model_fields.items() if field.is_required()}
    takes = _REWARDS[name] if name in _REWARDS else _OUTSIDE[name].model_validate
    with pytest.raises(ValidationError) as refused:
        takes({"no_such": 1})
    found = {(error["type"], error["loc"]) for error in refused.value.errors()}
    assert found == {("extra_forbidden", ("no_such",))} | {("missing", (key,)) for key in needed}
    assert refused.value.title == STATED[name][1].__name__


def test_the_examples_are_taken() -> None:
    examples = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert examples
    for example in examples:
        RewardSet([RewardSpec.model_validate(spec) for spec in json.loads(example)])
