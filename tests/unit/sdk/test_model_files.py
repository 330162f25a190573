"""What public models' small files look like, and what bounds them."""

from __future__ import annotations

import json

import pytest

from r1net.errors import UsageError
from r1net.protocol.model_files import bounded_json, check_config, vocabulary_of

TOKENIZER_CONFIG = {
    "add_prefix_space": False,
    "added_tokens_decoder": {"0": {"content": "<|endoftext|>", "lstrip": False, "special": True}},
    "chat_template": '{% for m in messages %}{{ "[" * 3 + m["content"] }}{% endfor %}' + "[{" * 100,
    "model_max_length": int(1e30),
    "tokenizer_class": "GPT2Tokenizer",
}
CONFIG = {"vocab_size": 49152, "rope_theta": 1e6, "rms_norm_eps": 1e-05, "eos_token_id": [2, 0], "torch_dtype": None}


def test_files_as_transformers_writes_them_are_read() -> None:
    for document in (TOKENIZER_CONFIG, CONFIG):
        for indent in (None, 2):
            assert check_config(json.dumps(document, indent=indent).encode(), "file") == document
    assert vocabulary_of(json.dumps(CONFIG).encode()) == 49152


@pytest.mark.parametrize("number", ["1e33", "-1e33", "1e400", "Infinity", "-Infinity", "NaN", "9" * 34, "9" * 5000])
def test_numbers_beyond_them_are_refused(number: str) -> None:
    with pytest.raises(UsageError):
        bounded_json(f'{{"x": {number}}}'.encode(), "file")


def test_brackets_in_text_are_no_depth_and_brackets_behind_an_escape_are() -> None:
    assert bounded_json(b'{"x": "' + b"[" * 1000 + b'\\""}', "file")
    with pytest.raises(UsageError, match="deep"):
        bounded_json(b'{"x\\\\": ' + b"[" * 40 + b"]" * 40 + b"}", "file")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '{"b": {"a": 1, "c": 2, "a": 3}}', '[{"a": 1, "a": 1}]'])
def test_a_key_that_comes_twice_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="'a' comes twice"):
        bounded_json(text.encode(), "file")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_only_plain_utf_8_is_read(encoding: str) -> None:
    with pytest.raises(UsageError):
        bounded_json(json.dumps(CONFIG).encode(encoding), "file")


def test_code_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="auto_map") as caught:
        check_config(json.dumps(CONFIG | {"auto_map": {"AutoConfig": "mine.Config"}}).encode(), "config.json")
    assert "delete 'auto_map'" in str(caught.value.hint)
