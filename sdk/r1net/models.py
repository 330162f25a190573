"""A local model folder as a job's ModelRef, and its chat template rendered once into the job's prompt."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

from r1net.errors import UsageError
from r1net.protocol.job import QUESTION, FileRef, ModelRef
from r1net.protocol.model_files import JSON_FILES, check_config
from r1net.protocol.weight_files import INDEX, OTHER_FILES, REQUIRED_FILES, SINGLE, weights_in
from r1net.weights.checkpoint import read_checkpoint, read_index


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


def stop_tokens(folder: Path) -> tuple[int, ...]:
    """The end-of-sequence ids of generation_config.json or config.json."""
    for name in ("generation_config.json", "config.json"):
        ids = _read_json(folder / name).get("eos_token_id")
        if ids is not None:
            return tuple(ids) if isinstance(ids, list) else (ids,)
    raise UsageError(f"{folder} names no eos_token_id", hint="pass stop_token_ids=")


def render_prompt(folder: Path, system: str | None = None, prefill: str = "") -> str:
    """The chat template around the question's place, ready for the assistant's turn, which `prefill` begins.

    A model without a chat template gets the bare question and a line break. The template is rendered in a sandbox.
    """
    template = _chat_template(folder)
    if template is None:
        return f"{system + chr(10) if system else ''}{QUESTION}\n{prefill}"
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": QUESTION})
    config = _read_json(folder / "tokenizer_config.json")
    special = {key: _text(config.get(key)) for key in ("bos_token", "eos_token", "pad_token", "unk_token")}
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(template).render(messages=messages, add_generation_prompt=True, **special)
    return text + prefill


def _chat_template(folder: Path) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text()
    template = _read_json(folder / "tokenizer_config.json").get("chat_template")
    return template if isinstance(template, str) else None


def _text(token: Any) -> str:
    return str(token["content"]) if isinstance(token, dict) else str(token or "")


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    data = json.loads(path.read_text())
    return data if isinstance(data, dict) else {}


def _file_ref(path: Path) -> FileRef:
    with path.open("rb") as file:
        return FileRef(sha256="0x" + hashlib.file_digest(file, "sha256").hexdigest(), size=path.stat().st_size)
