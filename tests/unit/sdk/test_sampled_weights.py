"""A version's sampled weights out of its file: for every family, to the bit, and as transformers loads them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from r1net.downloads import adapter_config
from r1net.errors import UsageError
from r1net.protocol.architectures import ALL_LINEAR, FAMILIES
from r1net.protocol.job import Lora, Precision
from r1net.weights.checkpoint import read_checkpoint
from r1net.weights.experts import as_checkpoint
from r1net.weights.header import read_header
from r1net.weights.peft_names import HIGH, LOW, PREFIX
from r1net.weights.sampled import is_buffer, merged, pairs, sampled
from r1net.weights.stored import NewTensor, write_tensors
from r1node.models.checkpoint import persistent_buffers
from r1node.training.policy import TrainablePolicy
from tests.unit.node.models import llama
from tests.unit.node.test_training import spec
from tests.unit.node.zoo import ZOO

SINGLE = "model.safetensors"


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def move(policy: TrainablePolicy) -> None:
    """As training would: every value a little, and not to where bfloat16 has one."""
    generator = torch.Generator().manual_seed(5)
    for tensor in policy.parameters.values():
        tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.02)


def loads(folder: Path, policy: TrainablePolicy) -> None:
    """transformers finds a place for everything, and nothing missing."""
    module, report = AutoModelForCausalLM.from_pretrained(folder, dtype=policy.precision, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
    held = module.state_dict()
    for name, tensor in policy.merged().items():
        assert torch.equal(held[name], tensor), name


@pytest.mark.parametrize("name", ZOO)
def test_full_weights(name: str, tmp_path: Path) -> None:
    model = ZOO[name].make()
    model.save_pretrained(tmp_path)
    assert all(map(is_buffer, persistent_buffers(model)))
    assert not any(is_buffer(parameter) for parameter, _ in model.named_parameters())
    policy = TrainablePolicy(spec(dtype="bfloat16"), tmp_path)
    move(policy)
    (tmp_path / "policy.safetensors").write_bytes(policy.save())
    before = read_header(tmp_path / SINGLE)
    tensors = as_checkpoint(read_header(tmp_path / "policy.safetensors"), model.config.model_type)
    write_tensors(tmp_path / SINGLE, sampled(tensors, "bfloat16"))
    after = read_header(tmp_path / SINGLE)
    assert {key: tensor.shape for key, tensor in after.items()} == {key: tensor.shape for key, tensor in before.items()}
    assert {tensor.dtype for key, tensor in after.items() if not is_buffer(key)} == {"BF16"}
    assert {tensor.dtype for key, tensor in after.items() if is_buffer(key)} <= {"F32"}
    loads(tmp_path, policy)


@pytest.mark.parametrize("name", ZOO)
def test_merged_adapters(name: str, tmp_path: Path) -> None:
    ZOO[name].make().save_pretrained(tmp_path)
    merge_into(tmp_path, [SINGLE], "bfloat16", Lora(rank=4, alpha=6.0, targets=(ALL_LINEAR,)))


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_bases_of_any_precision_in_shards(stored: torch.dtype, precision: Precision, tmp_path: Path) -> None:
    ZOO["qwen2"].make().to(stored).save_pretrained(tmp_path, max_shard_size="20KB")
    shards = sorted(path.name for path in tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    merge_into(tmp_path, shards, precision, Lora(rank=3, alpha=1.0, targets=("q_proj", "down_proj")))


def test_a_base_that_was_saved_without_its_head(tmp_path: Path) -> None:
    model = llama(tied=True)
    model.model.save_pretrained(tmp_path)
    model.config.save_pretrained(tmp_path)
    assert "embed_tokens.weight" in read_header(tmp_path / SINGLE)
    merge_into(tmp_path, [SINGLE], "bfloat16", Lora(rank=2, alpha=4.0))


@pytest.mark.parametrize("name", ZOO)
def test_peft_finds_a_place_for_every_matrix(name: str, tmp_path: Path) -> None:
    model = ZOO[name].make()
    model.save_pretrained(tmp_path)
    targets = FAMILIES[model.config.model_type].linears
    job = spec(lora=Lora(rank=3, alpha=6.0, targets=targets))
    policy = TrainablePolicy(job, tmp_path)
    move(policy)
    file = tmp_path / "adapter_model.safetensors"
    file.write_bytes(policy.save())
    config = adapter_config(job, pairs(read_header(file)), "base")
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    loaded = PeftModel.from_pretrained(model, tmp_path)
    held = {key.replace(".default.", "."): value for key, value in loaded.named_parameters() if ".lora_" in key}
    same(held, policy.parameters)


def merge_into(folder: Path, weights: list[str], precision: Precision, lora: Lora) -> None:
    """Merge a trained adapter into the base in `folder`, and compare with what the trainer samples from."""
    policy = TrainablePolicy(spec(dtype=precision, lora=lora), folder)
    move(policy)
    adapter = folder / "adapter.safetensors"
    adapter.write_bytes(policy.save())
    base, target = read_checkpoint(folder, weights), folder / "merged"
    target.mkdir()
    shutil.copy(folder / "config.json", target)
    write_tensors(target / SINGLE, merged(base, read_header(adapter), lora.alpha / lora.rank, precision))
    loads(target, policy)


def test_the_bytes_are_those_of_the_safetensors_library(tmp_path: Path) -> None:
    tensors = {
        "b": torch.randn(3, 5).bfloat16(),
        "ä": torch.randn(2, 2).bfloat16(),
        "gate.e_score_correction_bias": torch.randn(3),
        "a": torch.randn(7).bfloat16(),
        "empty": torch.zeros(0, 4).bfloat16(),
    }
    save_file(tensors, tmp_path / "theirs", metadata={"format": "pt"})
    write_tensors(tmp_path / "mine", sampled(read_header(tmp_path / "theirs"), "bfloat16"))
    assert (tmp_path / "mine").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_large_tensors_go_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that end within a row, and a merge of rows that are longer than a block."""
    low, high, weight = torch.randn(2, 50), torch.randn(13, 2), torch.randn(13, 50)
    save_file({"x.weight": weight}, tmp_path / "base")
    save_file({f"{PREFIX}x{LOW}": low, f"{PREFIX}x{HIGH}": high}, tmp_path / "adapter")
    base, adapter = read_header(tmp_path / "base"), read_header(tmp_path / "adapter")
    results = set()
    for block in (1, 7, 120, 2**22):
        monkeypatch.setattr("r1net.weights.stored.BLOCK", block)
        monkeypatch.setattr("r1net.weights.sampled.BLOCK", block)
        write_tensors(tmp_path / "cast", sampled(base, "bfloat16"))
        write_tensors(tmp_path / "merged", merged(base, adapter, 0.5, "bfloat16"))
        results.add(((tmp_path / "cast").read_bytes(), (tmp_path / "merged").read_bytes()))
    assert len(results) == 1


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {f"{PREFIX}x{LOW}": (2, 5)},
        {f"{PREFIX}x{HIGH}": (4, 2)},
        {f"{PREFIX}x{LOW}": (2, 5), f"{PREFIX}x{HIGH}": (4, 3)},
        {f"{PREFIX}x{LOW}": (5,), f"{PREFIX}x{HIGH}": (4, 1)},
        {f"{PREFIX}x{LOW}": (2, 5), f"{PREFIX}x{HIGH}": (4, 2), "other": (1,)},
        {f"{PREFIX}x{LOW}": (2, 5), f"{PREFIX}x{HIGH}": (3, 2)},
        {f"{PREFIX}x{LOW}": (2, 6), f"{PREFIX}x{HIGH}": (4, 2)},
        {f"{PREFIX}y{LOW}": (2, 5), f"{PREFIX}y{HIGH}": (4, 2)},
    ],
)
def test_an_adapter_of_another_model_is_refused(tensors: dict[str, tuple[int, ...]], tmp_path: Path) -> None:
    save_file({"x.weight": torch.zeros(4, 5)}, tmp_path / "base")
    save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, tmp_path / "adapter")
    with pytest.raises(UsageError, match="adapter"):
        merged(read_header(tmp_path / "base"), read_header(tmp_path / "adapter"), 1.0, "bfloat16")


@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 5), (8,)])
def test_what_is_no_stack_of_experts_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    save_file({"model.layers.0.mlp.experts.gate_up_proj": torch.zeros(shape)}, tmp_path / "file")
    with pytest.raises(UsageError, match="no stack"):
        as_checkpoint(read_header(tmp_path / "file"), "mixtral")


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    save_file({"x.weight": torch.ones(4)}, tmp_path / "base")
    before = (tmp_path / "base").read_bytes()
    tensors = sampled(read_header(tmp_path / "base"), "bfloat16")
    broken = NewTensor("BF16", (4,), lambda: iter(int("no number") for _ in "x"))  # type: ignore[misc]
    with pytest.raises(ValueError, match="no number"):
        write_tensors(tmp_path / "base", tensors | {"y": broken})
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
    assert (tmp_path / "base").read_bytes() == before
