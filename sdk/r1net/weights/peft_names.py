"""The names under which PEFT keeps an adapter's matrices."""

from __future__ import annotations

PREFIX = "base_model.model."
LOW, HIGH = ".lora_A.weight", ".lora_B.weight"


def pair(layer: str) -> tuple[str, str]:
    """Names of A (rank, in) and B (out, rank) of a layer."""
    return f"{PREFIX}{layer}{LOW}", f"{PREFIX}{layer}{HIGH}"
