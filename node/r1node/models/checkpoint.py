"""A job's model as transformers loads it: every tensor of the checkpoint in its place, none missing, none left over."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from r1net.errors import UsageError
from r1net.protocol.architectures import require_supported
from r1net.weights.checkpoint import open_checkpoint


def attention_for(config: Any) -> str:
    """PyTorch's attention, whose memory grows with a sequence's length and not with its square, where it is right: it
    leaves out the soft cap of scores (Gemma 2, arXiv:2408.00118, section 2)."""
    return "eager" if getattr(config, "attn_logit_softcapping", None) else "sdpa"


MOST_MISSING = 2
"""How many times what it holds a checkpoint may be asked for; what little is missing is then named."""


def load_config(model_dir: Path) -> Any:
    """The configuration of a model that is supported. Raises UsageError."""
    config = AutoConfig.from_pretrained(model_dir)
    require_supported(config.to_dict())
    return config


def load_module(model_dir: Path, dtype: torch.dtype, device: str) -> nn.Module:
    """The model in evaluation mode, its parameters in `dtype`. Raises UsageError when the checkpoint isn't whole."""
    config = load_config(model_dir)
    _require_size(config, model_dir)
    transformers_logging.disable_progress_bar()
    module, report = AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=dtype, attn_implementation=attention_for(config), output_loading_info=True
    )
    _require_whole(report)
    _require_one_head(module, config)
    module.eval()
    return module.to(device)  # type: ignore[no-any-return]


def _require_size(config: Any, model_dir: Path) -> None:
    """A configuration may describe far more than was uploaded, and transformers makes room for what is missing."""
    with torch.device("meta"):
        wanted = sum(parameter.numel() for parameter in AutoModelForCausalLM.from_config(config).parameters())
    held = sum(math.prod(tensor.shape) for tensor in open_checkpoint(model_dir).values())
    if wanted > MOST_MISSING * held:
        raise UsageError(
            f"config.json describes {wanted} parameters, and the checkpoint holds {held} numbers",
            hint="the configuration is another model's",
        )


def _require_whole(report: dict[str, Any]) -> None:
    lacking = {
        "are missing": report["missing_keys"],
        "belong to no layer": report["unexpected_keys"],
        "have the wrong shape": report["mismatched_keys"],
        "can't be read": report["error_msgs"],
    }
    for what, found in lacking.items():
        if found:
            some = ", ".join(sorted(map(str, found))[:3])
            raise UsageError(f"{len(found)} tensors of the checkpoint {what}: {some}", hint="save the model anew")


def _require_one_head(module: Any, config: Any) -> None:
    """Loaders differ over a checkpoint with a head of its own whose configuration calls it tied to the embeddings."""
    if not config.tie_word_embeddings or is_tied(module):
        return
    if not torch.equal(head_of(module).weight, module.get_input_embeddings().weight):
        raise UsageError(
            "config.json says that the head is tied to the embeddings, and the checkpoint holds another head",
            hint='set "tie_word_embeddings": false in config.json, or leave the head out of the checkpoint',
        )
    module.tie_weights()
    if not is_tied(module):
        head_of(module).weight = module.get_input_embeddings().weight


def with_weights(module: nn.Module, weight: Callable[[str], Tensor], dtype: torch.dtype) -> Any:
    """A copy of the model that holds `weight(name)` in `dtype`. Buffers, such as frequencies, stay as they are."""
    replaced = {
        id(parameter): nn.Parameter(weight(name).to(parameter.device, dtype, copy=True), requires_grad=False)
        for name, parameter in module.named_parameters()
    }
    return copy.deepcopy(module, dict(replaced))


def is_tied(module: Any) -> bool:
    """Whether the head is the embeddings."""
    return head_of(module).weight is module.get_input_embeddings().weight


def head_of(module: Any) -> Any:
    """The output layer."""
    return module.get_output_embeddings()


def persistent_buffers(module: nn.Module) -> dict[str, Tensor]:
    """What a checkpoint holds besides parameters, such as the bias of a router (arXiv:2408.15664)."""
    trained = dict(module.named_parameters(remove_duplicate=False))
    return {name: tensor for name, tensor in module.state_dict().items() if name not in trained}
