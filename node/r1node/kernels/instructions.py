"""Which instructions this machine has, and which of them PyTorch is told to keep to: the kernels beside it keep to them
as well, and what is compiled for them is kept apart."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

LESSER = ("default", "avx2")
"""Values of ATEN_CPU_CAPABILITY below what a machine may have."""

_SETTINGS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")


def lesser_instructions() -> str | None:
    """The instruction set that PyTorch is told to keep to, where it is less than the machine may have."""
    told = os.environ.get("ATEN_CPU_CAPABILITY", "").lower()
    return told if told in LESSER else None


def processor() -> str:
    """What "native" code depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))


def fingerprint() -> str:
    """A name for the instructions that compiled code of this process may use: code that was compiled under another one
    may crash here, or read weights that are laid out otherwise."""
    told = [os.environ.get(name, "").lower() for name in _SETTINGS]
    return hashlib.sha256("\0".join([processor(), *told]).encode()).hexdigest()[:12]
