"""Which layers a job's adapter changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from r1net.errors import UsageError
from r1net.protocol.architectures import require_supported, require_targets, targets_of
from r1net.protocol.job import Lora


def adapted_layers(module: Any, lora: Lora) -> dict[str, nn.Linear]:
    """Linear layers by name. Raises UsageError when a target isn't found in every layer of the model."""
    family, linears = require_supported(module.config.to_dict()), dict(_linears(module))
    require_targets(family, lora.targets)
    targets = targets_of(family, lora.targets)
    found = {name: linear for name, linear in linears.items() if name.rsplit(".", 1)[-1] in targets}
    depth = int(module.config.num_hidden_layers)
    for target in targets:
        layers = {name.split(".")[2] for name in found if name.endswith(f".{target}")}
        if len(layers) != depth:
            have = sorted({name.rsplit(".", 1)[-1] for name in linears})
            raise UsageError(
                f"the adapter's target {target!r} is found in {len(layers)} of {depth} layers",
                hint=f"this model's linear layers are {', '.join(have)}",
            )
    return found


def _linears(module: Any) -> Iterator[tuple[str, nn.Linear]]:
    head = module.get_output_embeddings()
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear) and part is not head:
            yield name, part
