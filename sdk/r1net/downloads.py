"""The model of a finished job as a folder that transformers and PEFT load."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from r1net.protocol.job import JobSpec, JobView, ModelRef
from r1net.protocol.model_files import check_config
from r1net.protocol.weight_files import INDEX, SINGLE
from r1net.transport import Transport
from r1net.weights.checkpoint import read_checkpoint
from r1net.weights.experts import as_checkpoint
from r1net.weights.header import StoredTensor, read_header
from r1net.weights.sampled import merged, pairs, sampled
from r1net.weights.stored import write_tensors
from r1net.whole import write_whole

ADAPTER = "adapter_model.safetensors"
MASTER = "policy.safetensors"


def download_weights(transport: Transport, view: JobView, folder: Path, master: bool) -> None:
    """The final version of a job that trains all weights: a whole model; with `master` its float32 values besides."""
    spec = view.spec
    _fetch_beside(transport, spec.model, folder)
    config = _set_dtype(folder / "config.json", spec)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".master-") as scratch:
        file = (folder if master else Path(scratch)) / MASTER
        transport.fetch_blob(view.version.policy, file)
        tensors = as_checkpoint(read_header(file), str(config.get("model_type")))
        write_tensors(folder / SINGLE, sampled(tensors, spec.dtype))


def download_adapter(transport: Transport, view: JobView, folder: Path, base: Path | None) -> None:
    """The final version of a job that trains an adapter, for PEFT; `base` is where its base model lies, if here."""
    spec = view.spec
    transport.fetch_blob(view.version.policy, folder / ADAPTER)
    _fetch_beside(transport, spec.model, folder, without=("config.json",))
    where = spec.model.name if base is None else str(base.resolve())
    _write(folder / "adapter_config.json", adapter_config(spec, pairs(read_header(folder / ADAPTER)), where))
    files = {name: file.model_dump(mode="json", exclude={"v"}) for name, file in spec.model.files.items()}
    _write(folder / "base.json", {"name": spec.model.name, "dtype": spec.dtype, "files": files})


def download_base(transport: Transport, model: ModelRef, folder: Path) -> Path:
    """The job's model as its submitter uploaded it."""
    _fetch(transport, model, model.files, folder)
    return folder


def download_merged(transport: Transport, spec: JobSpec, folder: Path, base: Path | None) -> None:
    """A whole model below `folder`, where the adapter is: the base, whose weights are fetched unless `base` has them,
    with the adapter merged into it."""
    assert spec.lora is not None
    target = folder / "merged"
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".base-") as scratch:
        if base is None:
            base = Path(scratch)
            weights = spec.model.weights
            _fetch(transport, spec.model, weights if SINGLE in weights else (*weights, INDEX), base)
        tensors = read_checkpoint(base, spec.model.weights)
        adapter = read_header(folder / ADAPTER)
        write_tensors(target / SINGLE, merged(tensors, adapter, spec.lora.scale, spec.dtype))
    _fetch_beside(transport, spec.model, target)
    _set_dtype(target / "config.json", spec)


def _fetch_beside(transport: Transport, model: ModelRef, folder: Path, without: tuple[str, ...] = ()) -> None:
    """What stands beside the weights: configuration, tokenizer, chat template."""
    _fetch(transport, model, model.files.keys() - {*model.weights, INDEX, *without}, folder)


def _fetch(transport: Transport, model: ModelRef, names: Iterable[str], folder: Path) -> None:
    for name in sorted(names):
        file = model.files[name]
        transport.fetch_blob(file.sha256, folder / name, file.size)


def _set_dtype(path: Path, spec: JobSpec) -> dict[str, Any]:
    """Let the configuration say in which precision the weights are, so that `dtype="auto"` takes it; returns it."""
    config = check_config(path.read_bytes(), path.name) | {"dtype": spec.dtype}
    config.pop("torch_dtype", None)  # what transformers 4 wrote
    _write(path, config)
    return config


def adapter_config(spec: JobSpec, layers: Mapping[str, tuple[StoredTensor, StoredTensor]], base: str) -> dict[str, Any]:
    """PEFT's description of a job's adapter that changes these layers; `base` is where PEFT finds the base model."""
    assert spec.lora is not None
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": spec.lora.rank,
        "lora_alpha": spec.lora.alpha,
        "target_modules": sorted({layer.rsplit(".", 1)[-1] for layer in layers}),
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }


def _write(path: Path, document: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(document, indent=2), 0o644)
