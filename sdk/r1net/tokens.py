"""What a model's folder says of its tokens: the tokenizer, the named special tokens, where a completion ends."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from r1net.errors import UsageError
from r1net.protocol.model_files import MOST_TOKENIZER_BYTES, bounded_json, vocabulary_of

_MOST_CONFIG_BYTES = 16 * 2**20
"""Lists of added tokens make some of these files megabytes long."""


def load_tokenizer(data: bytes) -> Tokenizer:
    """The tokenizer that tokenizer.json holds, as it reads a prompt: every text has one encoding, whole and bare.

    A file also keeps the truncation, the padding and the dropout (BPE, arXiv:1910.13267) of the script that saved it.
    They belong to that script's training batches, and transformers reads prompts without the first two; all are
    switched off. Raises UsageError when the file can't be read.
    """
    if len(data) > MOST_TOKENIZER_BYTES:
        raise UsageError(f"tokenizer.json has {len(data)} bytes; at most {MOST_TOKENIZER_BYTES} are read")
    try:
        tokenizer = Tokenizer.from_buffer(data)
    except Exception as error:  # the Rust side raises bare Exception for every kind of broken file
        raise UsageError(f"that is not a tokenizer.json: {error}"[:300]) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if getattr(tokenizer.model, "dropout", None) is not None:
        tokenizer.model.dropout = None
    return tokenizer


def special_tokens(folder: Path) -> dict[str, str]:
    """The special tokens that have a name (bos_token, image_token, …), as transformers hands them to a chat template.

    Those of tokenizer_config.json; where it is of the older kind, without added_tokens_decoder, special_tokens_map.json
    comes before it. Tokens in a mere list (additional_special_tokens) have no name.
    """
    config = read_json(folder, "tokenizer_config.json")
    if "added_tokens_decoder" not in config:
        config |= read_json(folder, "special_tokens_map.json")
    extra = config.get("extra_special_tokens") or config.get("additional_special_tokens")
    named = {key: value for key, value in config.items() if key.endswith("_token")}
    texts = {key: _text(value) for key, value in (named | (extra if isinstance(extra, dict) else {})).items()}
    return {key: text for key, text in texts.items() if text is not None}


def stop_tokens(folder: Path) -> tuple[int, ...]:
    """Every token that ends a completion: the eos_token_id of generation_config.json and of config.json, and the
    tokenizer's eos_token, in this order. Chat models often name the end of a turn in one of them only.

    Raises UsageError when there are none, or one is no token of the model.
    """
    found: list[Any] = []
    for name in ("generation_config.json", "config.json"):
        ids = read_json(folder, name).get("eos_token_id")
        found += ids if isinstance(ids, list) else [] if ids is None else [ids]
    end = special_tokens(folder).get("eos_token")
    if end is not None and (token := _id(folder, end)) is not None:
        found.append(token)
    if not found:
        raise UsageError(f"{folder} names no eos_token_id and no eos_token", hint="pass stop_token_ids=")
    return check_stops(folder, found)


def check_stops(folder: Path, stops: Iterable[Any]) -> tuple[int, ...]:
    """`stops`, each once. Raises UsageError when one of them is no token id of the model."""
    stops = tuple(stops)
    vocabulary = vocabulary_of((folder / "config.json").read_bytes())
    for token in stops:
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < vocabulary:
            raise UsageError(
                f"the stop token {token!r} is not one of the model's {vocabulary} token ids",
                hint="pass stop_token_ids= with the ids that end a completion",
            )
    return tuple(dict.fromkeys(stops))


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of the folder; empty where there is none. Raises UsageError."""
    file = folder / name
    return bounded_json(file.read_bytes(), name, _MOST_CONFIG_BYTES) if file.is_file() else {}


def _id(folder: Path, token: str) -> int | None:
    file = folder / "tokenizer.json"
    return load_tokenizer(file.read_bytes()).token_to_id(token) if file.is_file() else None


def _text(token: Any) -> str | None:
    """A token is written as its text, or as an object with its `content`."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None
