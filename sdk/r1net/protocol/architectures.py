"""The model families that are computed right, as tests hold every part of the network against transformers, and why
others are refused. Known from config.json alone, so that a submitter is told before anything is paid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from r1net.errors import UsageError
from r1net.protocol.job import JobSpec

ALL_LINEAR = "all-linear"
"""As a target of an adapter: every one of the family's `linears`. PEFT's word for nearly the same."""

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_GATED = ("gate_proj", "up_proj", "down_proj")
_PLAIN = (*_ATTENTION, *_GATED)


MOST_LAYERS = 1024


@dataclass(frozen=True)
class Family:
    """`title`: models that people know it by. `linears`: layers that an adapter can be put on. `plain`: the built-in
    engine and trainer have kernels for it, where the configuration asks for nothing special; else transformers' own
    forward pass computes it. `vllm`: tests hold vLLM against it."""

    title: str
    linears: tuple[str, ...]
    plain: bool = False
    vllm: bool = False


FAMILIES: dict[str, Family] = {
    "llama": Family("Llama 2 and 3, SmolLM2, DeepSeek-R1-Distill-Llama", _PLAIN, plain=True, vllm=True),
    "mistral": Family("Mistral 7B, Mistral Small", _PLAIN, plain=True),
    "qwen2": Family("Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen", _PLAIN, plain=True),
    "qwen3": Family("Qwen3", _PLAIN, plain=True),
    "qwen3_moe": Family("Qwen3-MoE", _ATTENTION),
    "mixtral": Family("Mixtral", _ATTENTION),
    "gemma": Family("Gemma", _PLAIN),
    "gemma2": Family("Gemma 2", _PLAIN),
    "gemma3_text": Family("Gemma 3 (text)", _PLAIN),
    "phi": Family("Phi-1, Phi-1.5, Phi-2", ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")),
    "phi3": Family("Phi-3, Phi-4, Phi-4-mini", ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")),
    "smollm3": Family("SmolLM3", _PLAIN),
    "olmo2": Family("OLMo 2", _PLAIN),
    "granite": Family("Granite 3", _PLAIN),
    "cohere": Family("Command R", _PLAIN),
    "ministral": Family("Ministral", _PLAIN),
    "starcoder2": Family("StarCoder2", (*_ATTENTION, "c_fc", "c_proj")),
    "stablelm": Family("StableLM 2", _PLAIN),
    "glm4_moe": Family("GLM-4.5", _ATTENTION),
}

REFUSED: dict[str, str] = {
    "lfm2": "its convolutions keep a state that the engine does not replay",
    "falcon_h1": "its state-space layers keep a state that the engine does not replay",
    "mamba": "its state-space layers keep a state that the engine does not replay",
    "mamba2": "its state-space layers keep a state that the engine does not replay",
    "qwen3_next": "its linear attention keeps a state that the engine does not replay",
    "gemma3": "it takes images; the text model alone (gemma3_text) is supported",
}
"""Known and not supported, with the reason; everything that is in neither list was never tested."""

_STATIC_ROPES = ("default", "linear", "llama3", "yarn", "dynamic", "longrope", "proportional")


def require_supported(config: Mapping[str, Any]) -> Family:
    """The family of a config.json. Raises UsageError with the reason when it isn't known to be computed right."""
    kind = config.get("model_type")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        reason = REFUSED.get(str(kind), "no test says that it would be computed right")
        raise UsageError(
            f"models of type {kind!r} are not supported: {reason}", hint=f"supported: {', '.join(FAMILIES)}"
        )
    if config.get("quantization_config"):
        raise UsageError("the model is quantised, and training needs its full weights", hint="take the original model")
    for kind in set(_rope_types(config)):
        if kind not in _STATIC_ROPES:
            raise UsageError(f"positions of type {kind!r} are not supported", hint=f"one of {', '.join(_STATIC_ROPES)}")
    layers = config.get("num_hidden_layers", 1)
    if not isinstance(layers, int) or not 0 < layers <= MOST_LAYERS:
        raise UsageError(f"config.json names no number of layers between 1 and {MOST_LAYERS}")
    longest_sequence(config)
    return family


def longest_sequence(config: Mapping[str, Any]) -> int:
    """Tokens up to which a sequence's positions mean the same in one pass and step by step.

    Dynamic and long RoPE (YaRN's authors' "dynamic NTK", arXiv:2309.00071, section 3.3; LongRoPE, arXiv:2402.13753)
    change every key's position once a sequence outgrows the original length, which a cache of keys cannot follow.
    """
    limits = [config.get("max_position_embeddings")]
    for ropes in _ropes(config):
        if _type_of(ropes) in ("dynamic", "longrope"):
            limits += [ropes.get("original_max_position_embeddings"), config.get("original_max_position_embeddings")]
    found = [limit for limit in limits if limit is not None]
    if not found or not all(isinstance(limit, int) and limit > 0 for limit in found):
        raise UsageError("config.json says nothing usable about how long sequences may be")
    return int(min(found))


def require_length(config: Mapping[str, Any], tokens: int) -> None:
    """Raise UsageError when sequences of so many tokens are longer than the model's positions serve."""
    limit = longest_sequence(config)
    if tokens > limit:
        raise UsageError(
            f"sequences of {tokens} tokens are longer than the {limit} that the model's positions serve",
            hint="lower sampling.max_tokens, or shorten the prompt",
        )


def require_targets(family: Family, targets: tuple[str, ...]) -> None:
    """Raise UsageError when an adapter names layers that the family doesn't have."""
    strange = [target for target in targets if target not in (*family.linears, ALL_LINEAR)]
    if strange:
        raise UsageError(
            f"{', '.join(strange)}: no linear layers of {family.title}",
            hint=f"name some of {', '.join(family.linears)}, or {ALL_LINEAR!r}",
        )


def require_computable(spec: JobSpec, config: Mapping[str, Any], prompt_tokens: int) -> None:
    """Raise UsageError with the reason when a job on the model of this config.json isn't known to be computed right.
    `prompt_tokens`: of a usual prompt."""
    family = require_supported(config)
    if spec.lora is not None:
        require_targets(family, spec.lora.targets)
    longest = max(spec.sampling.max_tokens, spec.evaluation.sampling.max_tokens if spec.evaluation.problems else 0)
    require_length(config, prompt_tokens + longest)


def targets_of(family: Family, targets: tuple[str, ...]) -> tuple[str, ...]:
    """The layers that an adapter's targets stand for."""
    return family.linears if ALL_LINEAR in targets else targets


def _ropes(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every description of rotary positions: one for the model, or one for each kind of layer."""
    for key in ("rope_parameters", "rope_scaling"):
        value = config.get(key)
        if isinstance(value, Mapping):
            inner = [part for part in value.values() if isinstance(part, Mapping)]
            yield from inner or [value]


def _rope_types(config: Mapping[str, Any]) -> Iterator[str]:
    return (_type_of(ropes) for ropes in _ropes(config))


def _type_of(ropes: Mapping[str, Any]) -> str:
    return str(ropes.get("rope_type", ropes.get("type", "default")))
