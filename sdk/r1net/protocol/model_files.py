"""Reading the small JSON files of a model that a stranger uploaded: bounded in size, depth and numbers.

`json` itself recurses for each bracket, and takes Infinity for a number: both ended a server once.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

from r1net.errors import UsageError

MOST_BYTES = 1 << 20
MOST_BY_NAME = {"tokenizer_config.json": 1 << 22}
"""Gemma 3 describes each of its 6,000 reserved tokens there."""
MOST_DEPTH = 32
MOST_NUMBER = 1e32
"""transformers writes int(1e30) for a tokenizer's unlimited length."""
_MOST_DIGITS = 33
MOST_VOCABULARY = 1 << 24
JSON_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
)
MOST_TOKENIZER_BYTES = 64 * 2**20

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_CODE_KEYS = ("auto_map", "custom_pipelines")
"""What makes loaders import Python files of the model's folder."""


def bounded_json(data: bytes, name: str, most: int = MOST_BYTES) -> dict[str, Any]:
    """The object that `data`, at most `most` bytes, holds. Raises UsageError naming the file and what is wrong in it.

    A key that comes twice is refused: one reader takes the first, another the last.
    """
    if len(data) > most:
        raise UsageError(f"{name} has {len(data)} bytes; at most {most} are read")
    if _depth(data) > MOST_DEPTH:
        raise UsageError(f"{name} is nested more than {MOST_DEPTH} deep")
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_number, parse_int=_whole
        )
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not JSON that can be used: {error}"[:300]) from error
    if not isinstance(value, dict):
        raise UsageError(f"{name} is not a JSON object")
    return value


def check_config(data: bytes, name: str) -> dict[str, Any]:
    """`bounded_json` of a configuration that brings no code. Raises UsageError."""
    config = bounded_json(data, name, MOST_BY_NAME.get(name, MOST_BYTES))
    code = [key for key in _CODE_KEYS if config.get(key)]
    if code:
        raise UsageError(
            f"{name} wants code of its own to be run ({code[0]}), which r1net never does",
            hint=f"if transformers knows the model without it, delete {code[0]!r} from {name}",
        )
    return config


def vocabulary_of(config: bytes) -> int:
    """The number of token ids that a model can emit, from its config.json. Raises UsageError."""
    size = check_config(config, "config.json").get("vocab_size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MOST_VOCABULARY:
        raise UsageError(
            f"the model's config.json names no vocab_size between 1 and {MOST_VOCABULARY}",
            hint="multimodal models are not supported",
        )
    return size


def _depth(data: bytes) -> int:
    deepest = depth = 0
    for character in re.findall(rb"[\[{}\]]", _STRING.sub(b"", data)):
        depth += 1 if character in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {twice[:100]!r} comes twice")
    return found


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or abs(value) > MOST_NUMBER:
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"the number {text[:40]} is too large")
    return int(text)
