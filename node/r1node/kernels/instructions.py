"""Which instruction set PyTorch is told to keep to: the kernels beside it keep to it as well."""

from __future__ import annotations

import os

LESSER = ("default", "avx2")
"""Values of ATEN_CPU_CAPABILITY below what a machine may have."""


def lesser_instructions() -> str | None:
    """The instruction set that PyTorch is told to keep to, where it is less than the machine may have."""
    told = os.environ.get("ATEN_CPU_CAPABILITY", "").lower()
    return told if told in LESSER else None
