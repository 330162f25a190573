"""What `run.download` brings from a coordinator: folders that transformers and PEFT load as the job sampled."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from r1net import AsyncClient, Client
from r1net.errors import UsageError
from r1net.models import describe_model
from r1net.protocol.canonical import sha256
from r1net.protocol.job import Lora
from r1net.runs import Run
from r1net.weights.checkpoint import read_checkpoint
from r1node.training.policy import TrainablePolicy
from tests.adversarial.coordinator.served import Served
from tests.unit.coordinator.jobs import job_spec, tokenizer_json
from tests.unit.node.models import llama
from tests.unit.node.zoo import ZOO

TOKENIZER_CONFIG = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "chat_template": "{{ 1 }}"}
WORDS = torch.tensor([[5, 17, 33, 48, 60, 2, 9]])


def save(model: Any, folder: Path, **options: Any) -> Path:
    """A model folder with the byte tokenizer of the coordinator's tests."""
    model.resize_token_embeddings(260)
    model.save_pretrained(folder, **options)
    (folder / "tokenizer.json").write_bytes(tokenizer_json())
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER_CONFIG))
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    return folder


@dataclass
class Finished:
    """A finished job, and the policy whose weights its last version has."""

    run: Run
    policy: TrainablePolicy
    base: Path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "coordinator").mkdir()
    with Served(tmp_path / "coordinator").running() as own:
        yield own


def finish(served: Served, client: Client, base: Path, **changes: Any) -> Finished:
    """Let two honest nodes finish a job on the model in `base`."""
    spec = job_spec(model=describe_model(base), **changes)
    policy = TrainablePolicy(spec, base)
    generator = torch.Generator().manual_seed(5)
    for tensor in policy.parameters.values():
        tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.05)
    file = policy.save()
    job_id = served.take(spec, {name: (base / name).read_bytes() for name in spec.model.files})
    nodes = [served.node(1), served.node(2)]
    for node in nodes:
        node.file_of = lambda number, part: file if (number, part) == (2, "policy") else f"{part} {number}".encode()
    deadline = time.monotonic() + 100
    run = client.run(job_id)
    while run.view().state == "running":
        assert time.monotonic() < deadline, served.log()
        for node in nodes:
            lease = node.work()
            if lease is not None:
                assert node.do(lease).status_code in (200, 202)
    return Finished(run, policy, base)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def answers(model: Any) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model.float().eval()(WORDS).logits
    return logits


BESIDE = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
RECORDS = {"traces.parquet", "metrics.jsonl", "job.json"}


@pytest.mark.parametrize(
    ("exhibit", "shards", "dtype"),
    [("llama, tied", "5GB", "bfloat16"), ("glm 4 moe, router bias", "60KB", "bfloat16"), ("qwen2", "60KB", "float32")],
)
def test_full_weights(served: Served, tmp_path: Path, exhibit: str, shards: str, dtype: str) -> None:
    base = save(ZOO[exhibit].make(), tmp_path / "base", max_shard_size=shards)
    assert (len(list(base.glob("*.safetensors"))) > 1) == (shards == "60KB")
    with Client(served.url) as client:
        done = finish(served, client, base, dtype=dtype)
        out = done.run.download(tmp_path / "out")
        assert names(out) == {"model.safetensors", *BESIDE, *RECORDS}
        with pytest.raises(UsageError, match="nothing is to be merged"):
            done.run.download(tmp_path / "other", merged=True)
        more = done.run.download(tmp_path / "more", base=True, master=True)
    assert json.loads((out / "config.json").read_text())["dtype"] == dtype
    sampled = done.policy.merged()
    held = load_file(out / "model.safetensors")
    assert held.keys() == read_checkpoint(base, describe_model(base).weights).keys()
    loaded = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
    assert loaded.dtype == getattr(torch, dtype)
    for name, tensor in sampled.items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert AutoTokenizer.from_pretrained(out).apply_chat_template([{"content": "hi"}], tokenize=False) == "hi"
    assert describe_model(more).files == describe_model(out).files, "what comes can be trained on again"
    assert describe_model(more / "base").files == describe_model(base).files
    masters = load_file(more / "policy.safetensors")
    assert all(torch.equal(masters[name], tensor) for name, tensor in done.policy.parameters.items())


@pytest.mark.parametrize(("shards", "dtype"), [("5GB", "float32"), ("60KB", "bfloat16")])
def test_an_adapter(served: Served, tmp_path: Path, shards: str, dtype: str) -> None:
    base = save(llama(tied=False), tmp_path / "base", max_shard_size=shards)
    lora = Lora(rank=4, alpha=6.0, targets=("q_proj", "down_proj"))
    with Client(served.url) as client:
        done = finish(served, client, base, lora=lora, dtype=dtype)
        plain = done.run.download(tmp_path / "plain")
        out = done.run.download(tmp_path / "out", base=True, merged=True)
        again = AsyncClient(served.url).run(done.run.job_id)
        later = asyncio.run(again.download(tmp_path / "later", merged=True))
    adapter = {"adapter_model.safetensors", "adapter_config.json", "base.json", *BESIDE - {"config.json"}, *RECORDS}
    assert names(plain) == adapter
    assert names(out) == adapter | {"base", "merged"}
    assert names(later) == adapter | {"merged"}
    assert names(out / "merged") == {"model.safetensors", *BESIDE}
    shutil.rmtree(base)
    assert (later / "merged" / "model.safetensors").read_bytes() == (out / "merged" / "model.safetensors").read_bytes()
    whole = AutoModelForCausalLM.from_pretrained(out / "merged", dtype="auto")
    for name, tensor in done.policy.merged().items():
        assert torch.equal(whole.state_dict()[name], tensor), name
    assert_peft_agrees(out, whole, dtype)
    files = json.loads((plain / "base.json").read_text())["files"]
    assert {name: sha256((out / "base" / name).read_bytes()) for name in files} == {
        name: file["sha256"] for name, file in files.items()
    }
    assert json.loads((plain / "adapter_config.json").read_text())["base_model_name_or_path"] == "base"


def assert_peft_agrees(out: Path, whole: Any, dtype: str) -> None:
    """PEFT's merge is a matrix product that is rounded elsewhere: near, and not near the base."""
    weights, logits = (1e-6, 1e-4) if dtype == "float32" else (2**-7, 0.2)
    precision = getattr(torch, dtype)
    found = AutoPeftModelForCausalLM.from_pretrained(out, dtype=precision)
    merged = found.merge_and_unload().state_dict()
    for name, tensor in whole.state_dict().items():
        assert torch.allclose(merged[name].float(), tensor.float(), rtol=weights, atol=weights), name
    base = AutoModelForCausalLM.from_pretrained(out / "base", dtype=precision)
    wanted, before = answers(whole), answers(base)
    assert (answers(PeftModel.from_pretrained(base, out)) - wanted).abs().max() < logits
    assert (before - wanted).abs().max() > 3 * logits
