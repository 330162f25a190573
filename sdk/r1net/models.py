"""What a job takes from a local model folder: its files as a ModelRef, its chat template, its stop tokens."""

from __future__ import annotations

import hashlib
from pathlib import Path

from r1net.errors import UsageError
from r1net.protocol.files import FileRef
from r1net.protocol.job import ModelRef, Precision
from r1net.protocol.model_files import JSON_FILES, check_config
from r1net.protocol.weight_files import INDEX, OTHER_FILES, REQUIRED_FILES, SINGLE, weights_in
from r1net.templates import render_prompt
from r1net.tokens import stop_tokens
from r1net.weights.checkpoint import open_checkpoint, read_checkpoint, read_index

__all__ = ["describe_model", "render_prompt", "stop_tokens"]


def describe_model(folder: Path, name: str | None = None) -> ModelRef:
    """Check a model folder's files and hash those that a job takes; others are left out.

    Weights are model.safetensors, or shards with their index. Raises UsageError naming what is missing or wrong.
    """
    if not folder.is_dir():
        raise UsageError(f"no model folder at {folder}", hint="give a folder in Hugging Face layout")
    names = {path.name for path in folder.iterdir() if path.is_file()}
    missing = sorted(set(REQUIRED_FILES) - names)
    if missing:
        hint = "save model and tokenizer with save_pretrained(…); the tokenizer must be a fast one"
        raise UsageError(f"{folder} lacks {', '.join(missing)}", hint=hint)
    for file in names.intersection(JSON_FILES):
        check_config((folder / file).read_bytes(), file)
    weights = weights_in(names, read_index(folder) if INDEX in names else None)
    read_checkpoint(folder, weights)
    chosen = (*(file for file in OTHER_FILES if file in names), *weights, *([] if SINGLE in weights else [INDEX]))
    return ModelRef(name=name or folder.name, files={file: _file_ref(folder / file) for file in chosen})


def own_precision(folder: Path) -> Precision:
    """The precision of a model's weights, as far as a job may have it: bfloat16 unless some of them have 32 bits."""
    kinds = {tensor.dtype for tensor in open_checkpoint(folder).values()}
    return "float32" if "F32" in kinds else "bfloat16"


def _file_ref(path: Path) -> FileRef:
    with path.open("rb") as file:
        return FileRef(sha256="0x" + hashlib.file_digest(file, "sha256").hexdigest(), size=path.stat().st_size)
