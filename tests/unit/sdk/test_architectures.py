"""What config.json alone says of a model: supported or refused, with the reason, whatever a stranger writes into it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net.errors import UsageError
from r1net.protocol.architectures import (
    FAMILIES,
    REFUSED,
    longest_sequence,
    require_computable,
    require_supported,
    require_targets,
)
from r1net.protocol.job import Evaluation, Lora, Sampling
from tests.unit.coordinator.jobs import job_spec

CONFIG = {"model_type": "llama", "vocab_size": 260, "max_position_embeddings": 4096}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("model_type", "rope_parameters", "rope_scaling", "max_position_embeddings", "quantization_config")


@pytest.mark.parametrize("kind", [*REFUSED, "never_heard_of", "", None, 7, ["llama"]])
def test_what_is_not_tested_is_refused_by_name(kind: Any) -> None:
    with pytest.raises(UsageError, match="not supported") as refused:
        require_supported(CONFIG | {"model_type": kind})
    assert all(known in (refused.value.hint or "") for known in FAMILIES)


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_is_tested_is_supported(kind: str) -> None:
    assert require_supported(CONFIG | {"model_type": kind}) is FAMILIES[kind]


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING))
def test_any_other_config_is_refused_in_words(written: dict[str, Any]) -> None:
    with suppress(UsageError):
        assert require_supported(CONFIG | written) in FAMILIES.values()


@pytest.mark.parametrize(
    ("written", "longest"),
    [
        ({}, 4096),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}}, 4096),
        ({"rope_scaling": {"type": "dynamic", "factor": 4.0, "original_max_position_embeddings": 1024}}, 1024),
        ({"rope_parameters": {"rope_type": "longrope"}, "original_max_position_embeddings": 512}, 512),
        ({"rope_parameters": {"full_attention": {"rope_type": "dynamic", "original_max_position_embeddings": 64}}}, 64),
    ],
)
def test_how_long_sequences_may_be(written: dict[str, Any], longest: int) -> None:
    assert longest_sequence(CONFIG | written) == longest
    job = job_spec(sampling=Sampling(max_tokens=longest - 12), evaluation=Evaluation(problems=0))
    require_computable(job, CONFIG | written, 12)
    with pytest.raises(UsageError, match=f"longer than the {longest}"):
        require_computable(job, CONFIG | written, 13)


def test_quantised_weights_and_strange_positions_are_refused() -> None:
    with pytest.raises(UsageError, match="quantised"):
        require_supported(CONFIG | {"quantization_config": {"quant_method": "gptq"}})
    with pytest.raises(UsageError, match="'mrope'"):
        require_supported(CONFIG | {"rope_parameters": {"rope_type": "mrope"}})


def test_adapters_on_layers_that_are_not_there_are_refused() -> None:
    with pytest.raises(UsageError, match="q_proj, k_proj, v_proj, gate_proj, up_proj: no linear layers") as refused:
        require_targets(FAMILIES["phi3"], Lora().targets)
    assert "qkv_proj" in (refused.value.hint or "")
    require_targets(FAMILIES["phi3"], ("all-linear",))
    require_targets(FAMILIES["llama"], Lora().targets)
