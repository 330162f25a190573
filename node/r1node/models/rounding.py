"""What arithmetic in bfloat16 would make of a model, on any machine: float32 products whose operands and results are
rounded. Machines without products of bfloat16 emulate them fifteen times slower, and machines that have them differ in
the order of their sums, which is the least of what rounding does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def rounding(module: nn.Module) -> Iterator[None]:
    """While it lasts, everything that the parts of a float32 module hand on is rounded to bfloat16 and back, and so is
    what goes into products."""
    hooks = []
    for name, part in module.named_modules():
        if name:
            hooks.append(part.register_forward_hook(lambda _part, _given, made: _rounded(made)))
        if isinstance(part, nn.Linear):
            hooks.append(part.register_forward_pre_hook(lambda _part, given: _rounded(given)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _rounded(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(torch.bfloat16).float() if value.dtype is torch.float32 else value
    if type(value) is tuple:
        return tuple(map(_rounded, value))
    return value
