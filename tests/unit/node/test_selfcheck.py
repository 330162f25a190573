"""A host finds out by itself when it computes a model wrongly, and doesn't when it computes it right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from r1net.errors import UsageError
from r1net.protocol.architectures import FAMILIES
from r1net.protocol.job import Lora, Sampling
from r1node.models.adapters import adapted_layers
from r1node.rollout.builtin import BuiltinEngine
from r1node.training import exact
from r1node.training.policy import TrainablePolicy
from r1node.training.trainer import Trainer
from r1node.verification.selfcheck import SelfCheck, check
from tests.unit.node.models import llama
from tests.unit.node.test_families import engine_for
from tests.unit.node.test_training import spec
from tests.unit.node.zoo import ZOO


def checked(folder: Path, computing: torch.dtype = torch.float32, **changes: Any) -> SelfCheck:
    job = spec(**changes)
    policy = TrainablePolicy(job, folder)
    engine = engine_for(policy) if computing == torch.float32 else BuiltinEngine(policy.config, computing)
    return check(policy, Trainer(job, policy, dtype=computing), engine, 12)


@pytest.mark.parametrize("name", ZOO)
def test_every_family_passes(name: str, tmp_path: Path) -> None:
    ZOO[name].make().save_pretrained(tmp_path)
    found = checked(tmp_path)
    assert max(found.engine_nats, found.trainer_nats) < 1e-3
    assert found.gradient < 2e-3  # saturated soft caps leave next to no gradient


FIRST = {exhibit.make().config.model_type: name for name, exhibit in reversed(ZOO.items())}


@pytest.mark.parametrize("kind", FAMILIES)
def test_an_adapter_on_every_family_passes(kind: str, tmp_path: Path) -> None:
    """On all the layers that the table names, none left out, with B away from zero."""
    ZOO[FIRST[kind]].make().save_pretrained(tmp_path)
    job = spec(lora=Lora(rank=2, targets=FAMILIES[kind].linears), dtype="bfloat16")
    policy = TrainablePolicy(job, tmp_path)
    for number, (name, parameter) in enumerate(policy.parameters.items()):
        if "lora_B" in name:
            parameter.copy_(exact.first_adapter(number, name, *parameter.shape))
    found = check(policy, Trainer(job, policy, dtype=torch.float32), engine_for(policy), 12)
    assert max(found.engine_nats, found.trainer_nats) < 1e-3
    assert found.gradient < 2e-3


def test_adapters_that_reach_a_part_of_the_model_are_refused(tmp_path: Path) -> None:
    ZOO["phi 3"].make().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"q_proj, k_proj, v_proj, gate_proj, up_proj: no linear layers") as refused:
        TrainablePolicy(spec(lora=Lora(rank=4)), tmp_path)
    assert "qkv_proj" in (refused.value.hint or "")
    everything = TrainablePolicy(spec(lora=Lora(rank=4, targets=("all-linear",))), tmp_path)
    assert len(everything.parameters) == 2 * 2 * len(FAMILIES["phi3"].linears)


def test_adapters_that_reach_some_layers_are_refused() -> None:
    """As where some layers have experts and others don't."""
    model = llama()
    model.model.layers[1].mlp.gate_proj = torch.nn.Identity()
    with pytest.raises(UsageError, match=r"'gate_proj' is found in 1 of 2 layers"):
        adapted_layers(model, Lora(rank=4))


@pytest.mark.parametrize("lora", [None, Lora(rank=4)], ids=["full", "lora"])
@pytest.mark.parametrize("computing", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_rounded_weights_and_adapters_pass(tmp_path: Path, lora: Lora | None, computing: torch.dtype) -> None:
    llama().save_pretrained(tmp_path)
    found = checked(tmp_path, computing, lora=lora, dtype="bfloat16", sampling=Sampling(temperature=0.7))
    assert found.engine < 0.7
    assert found.trainer < 0.7


class _Forgetful(BuiltinEngine):
    """Passes over biases."""

    def load(self, weights: Mapping[str, Tensor]) -> None:
        super().load({name: tensor for name, tensor in weights.items() if "bias" not in name})


WRONG = {
    "activation": ("llama, gelu", {"hidden_act": "silu"}),
    "window": ("mistral, window of 16", {"sliding_window": None}),
    "windows of some layers": ("qwen3, window of 16", {"use_sliding_window": False, "layer_types": None}),
}


@pytest.mark.parametrize(("name", "passed_over"), WRONG.values(), ids=WRONG)
def test_what_would_be_computed_wrongly_is_refused(name: str, passed_over: dict[str, Any], tmp_path: Path) -> None:
    """Engine and trainer are told that the model is plainer than it is."""
    ZOO[name].make().save_pretrained(tmp_path)
    job = spec(sampling=Sampling(max_tokens=40))
    policy = TrainablePolicy(job, tmp_path)
    policy.why_not_plain = None
    policy.config = type(policy.config)(**policy.config.to_dict() | passed_over)
    with pytest.raises(UsageError, match=r"wrongly \(engine, trainer, gradient\).* nats"):
        check(policy, Trainer(job, policy), BuiltinEngine(policy.config, torch.float32), 40)


def test_an_engine_that_drops_tensors_is_refused(tmp_path: Path) -> None:
    ZOO["qwen2"].make().save_pretrained(tmp_path)
    job = spec()
    policy = TrainablePolicy(job, tmp_path)
    with pytest.raises(UsageError, match=r"wrongly \(engine\)"):
        check(policy, Trainer(job, policy), _Forgetful(policy.config, torch.float32), 12)


def test_a_gradient_that_is_off_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llama().save_pretrained(tmp_path)
    job = spec()
    policy = TrainablePolicy(job, tmp_path)
    made = Trainer(job, policy)
    accumulate = made.accumulate

    def off(*arguments: Any) -> dict[str, float]:
        metrics = accumulate(*arguments)
        policy.parameters["model.norm.weight"].grad.mul_(1.5)
        return metrics

    monkeypatch.setattr(made, "accumulate", off)
    with pytest.raises(UsageError, match=r"wrongly \(gradient\)"):
        check(policy, made, BuiltinEngine(policy.config, torch.float32), 12)
