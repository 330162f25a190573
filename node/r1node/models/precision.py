"""In which precision this machine computes: bfloat16 where its products are native, else float32.

A version's weights have the job's precision on every machine (`JobSpec.dtype`); this one is only of the arithmetic. It
follows what tells PyTorch and oneDNN to leave instruction sets alone, so that a machine can stand for a lesser one:

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 r1node join
"""

from __future__ import annotations

import os

import torch

from r1net.protocol.job import Precision
from r1node.kernels.instructions import lesser_instructions

TORCH: dict[Precision, torch.dtype] = {"bfloat16": torch.bfloat16, "float32": torch.float32}

_LESSER_ONEDNN = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
"""Values of ONEDNN_MAX_CPU_ISA (oneDNN's developer guide, "CPU dispatcher control") without products of bfloat16."""


def computing(device: str, wanted: Precision) -> torch.dtype:
    """The precision of products and activations for a job whose weights have the precision `wanted`."""
    return torch.bfloat16 if wanted == "bfloat16" and has_fast_bf16(device) else torch.float32


def has_fast_bf16(device: str) -> bool:
    """Whether bf16 products are native: on a GPU, or on a CPU with AMX or AVX512-BF16 (elsewhere they are emulated)."""
    if device != "cpu":
        return True
    if lesser_instructions() or os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _LESSER_ONEDNN:
        return False
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())
