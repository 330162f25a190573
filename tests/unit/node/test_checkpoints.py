"""What a checkpoint must be to be trained on: whole, with one head, of a family that is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from r1net.errors import UsageError
from r1node.training.policy import TrainablePolicy, load_policy
from tests.unit.node.models import llama
from tests.unit.node.test_training import spec
from tests.unit.node.zoo import ZOO

Change = Callable[[dict[str, Tensor], dict[str, Any]], None]
"""Of a checkpoint's tensors and configuration, in place."""


def rewritten(folder: Path, change: Change, tied: bool) -> Path:
    """A Llama whose tensors and configuration `change` has had a hand in."""
    llama(tied=tied).save_pretrained(folder)
    tensors, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    change(tensors, config)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _tie(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    config["tie_word_embeddings"] = True


def _copy_head(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()


def _drop_head(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    del tensors["lm_head.weight"]


def _drop_a_norm(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    del tensors["model.layers.1.input_layernorm.weight"]


def _add_a_layer(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    tensors["model.layers.7.input_layernorm.weight"] = torch.ones(48)


def _cut_a_tensor(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    tensors["model.norm.weight"] = torch.ones(47)


def _describe_a_giant(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    config.update(num_hidden_layers=400, intermediate_size=10**6)


def _quantise(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    config["quantization_config"] = {"quant_method": "fp8"}


def _name_another(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    config["model_type"] = "gpt2"


REFUSED: dict[str, tuple[Change, bool, str]] = {
    "a head of its own that is called tied": (_tie, False, "holds another head"),
    "no head": (_drop_head, False, "are missing: lm_head.weight"),
    "a tensor less": (_drop_a_norm, True, "are missing"),
    "a tensor more": (_add_a_layer, True, "belong to no layer"),
    "another shape": (_cut_a_tensor, True, "shape|size"),
    "a giant's configuration": (_describe_a_giant, True, "describes 57"),
    "quantised": (_quantise, True, "quantised"),
    "untested": (_name_another, True, "'gpt2' are not supported"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("change", "tied", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(change: Change, tied: bool, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        load_policy(spec(), rewritten(tmp_path, change, tied))


def test_a_head_that_is_there_twice_is_one(tmp_path: Path) -> None:
    """Some checkpoints hold the tied head as well: training must move both as one."""
    policy = TrainablePolicy(spec(), rewritten(tmp_path, _copy_head, True))
    assert "lm_head.weight" not in policy.parameters
    assert policy.module.lm_head.weight is policy.module.model.embed_tokens.weight


@pytest.mark.parametrize("name", ["llama, tied", "qwen3 moe", "gemma 3", "glm 4 moe, router bias"])
def test_a_version_s_file_is_a_whole_checkpoint(name: str, tmp_path: Path) -> None:
    """Parameters and buffers, under names that transformers loads; nothing missing, nothing left over."""
    model = ZOO[name].make()
    model.save_pretrained(tmp_path)
    policy = TrainablePolicy(spec(), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(policy.save())
    again, report = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, output_loading_info=True)
    assert not any(report.values()), report
    for (key, ours), theirs in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), key


def test_a_version_with_other_buffers_is_refused(tmp_path: Path) -> None:
    """The bias of a router is no parameter, and not a peer's to change."""
    ZOO["glm 4 moe, router bias"].make().save_pretrained(tmp_path)
    policy = TrainablePolicy(spec(), tmp_path)
    tensors = load(policy.save())
    key = next(name for name in tensors if "correction_bias" in name)
    tensors[key] += 1
    save_file(tensors, tmp_path / "changed.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="is not trained"):
        policy.load((tmp_path / "changed.safetensors").read_bytes())
