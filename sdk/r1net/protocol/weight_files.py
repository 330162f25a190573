"""Which files a model is made of: its weights, as one safetensors file or as numbered shards with an index, and what
stands beside them. Nothing else is taken: a library would load what a stranger put there.

The names are those that transformers' `save_pretrained` writes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from r1net.errors import UsageError
from r1net.protocol.model_files import JSON_FILES, bounded_json

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
REQUIRED_FILES = ("config.json", "tokenizer.json")
OTHER_FILES = (*JSON_FILES, "tokenizer.json", "chat_template.jinja")
"""What may stand beside the weights."""

MOST_INDEX_BYTES = 16 * 2**20
"""Room for a hundred thousand tensors: the largest open models have about that many."""
MOST_SHARDS = 240

_SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
_OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".gguf", ".safetensors", ".h5", ".msgpack", ".onnx", ".index.json")
SAVE_AGAIN = "load it with transformers and save it with save_pretrained(…), which writes safetensors"


def weight_names(names: Collection[str]) -> tuple[str, ...]:
    """The safetensors files among a model's files, in order: model.safetensors, or every shard beside an index.

    Raises UsageError when they are incomplete, or something is there that is neither weights nor known.
    """
    shards = sorted(name for name in names if _SHARD.fullmatch(name))
    strange = sorted(set(names) - {SINGLE, INDEX, *shards, *OTHER_FILES})
    if strange:
        raise UsageError(f"{strange[0]!r} is no file of a model that is taken", hint=f"known: {', '.join(OTHER_FILES)}")
    if SINGLE in names:
        if shards or INDEX in names:
            raise UsageError(f"there are both {SINGLE} and {(*shards, INDEX)[0]}", hint="leave one of them out")
        return (SINGLE,)
    if INDEX not in names:
        raise UsageError(f"the model lacks {SINGLE}, or {INDEX} with its shards", hint=SAVE_AGAIN)
    _require_all(shards)
    return tuple(shards)


def weights_in(names: Collection[str], index: bytes | None) -> tuple[str, ...]:
    """The weight files to take of a folder that may hold others too; `index` is what its index file says.

    Raises UsageError when there are none, in words that name what is there instead.
    """
    if SINGLE in names:
        return (SINGLE,)
    if index is not None:
        wanted = sorted(set(_weight_map(index).values()))
        _require_all(wanted)
        absent = [name for name in wanted if name not in names]
        if absent:
            raise UsageError(f"{INDEX} names {absent[0][:100]}, which is not there", hint="download the missing shards")
        return tuple(wanted)
    others = sorted(name for name in names if name.endswith(_OTHER_WEIGHTS))
    if others:
        raise UsageError(f"the weights are in {others[0]}, not in {SINGLE}, or {INDEX} with shards", hint=SAVE_AGAIN)
    raise UsageError(f"there is no {SINGLE} and no {INDEX}", hint=SAVE_AGAIN)


def check_index(data: bytes, shards: Collection[str]) -> Mapping[str, str]:
    """The shard of every tensor. Raises UsageError unless the index names exactly these shards."""
    places = _weight_map(data)
    named = set(places.values())
    unnamed, absent = sorted(set(shards) - named), sorted(named - set(shards))
    if absent:
        raise UsageError(f"{INDEX} puts tensors into {absent[0][:100]!r}, which is no file of the model")
    if unnamed:
        raise UsageError(f"{INDEX} names no tensor of {unnamed[0]}")
    return places


def _require_all(shards: Collection[str]) -> None:
    """Raise UsageError unless these are shards 1 to n of n."""
    matches = [_SHARD.fullmatch(shard) for shard in shards]
    numbers = [(int(match[1]), int(match[2])) for match in matches if match]
    total = numbers[0][1] if numbers else 0
    if total > MOST_SHARDS:
        raise UsageError(f"the model has {total} shards; at most {MOST_SHARDS} are taken", hint="save larger shards")
    if len(numbers) != len(shards) or not numbers or numbers != [(n, total) for n in range(1, total + 1)]:
        found = ", ".join(shards)[:200] or "none"
        raise UsageError(
            f"an index stands for model-00001-of-0000n.safetensors to the last, each once; found {found}",
            hint=SAVE_AGAIN,
        )


def _weight_map(data: bytes) -> dict[str, str]:
    places = bounded_json(data, INDEX, MOST_INDEX_BYTES).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(place, str) for place in places.values()):
        raise UsageError(f"{INDEX} has no weight_map of tensors to files", hint=SAVE_AGAIN)
    return places
