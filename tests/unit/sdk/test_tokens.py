"""Prompts are encoded as transformers encodes them, whole; completions end at every token that ends one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from r1net.errors import UsageError
from r1net.scoring import JobScorer
from r1net.tokens import check_stops, load_tokenizer, stop_tokens
from tests.unit.coordinator.jobs import STOP, job_spec, tokenizer_json

CORPUS = ["What is 7 + 5? Answer in a tag.", "the answer is twelve, and the other is thirteen", "0123456789 + - = ?"]


def trained() -> Tokenizer:
    """Merges, a lower-casing normaliser, a post-processor that puts tokens around, an added token that eats spaces."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    special = ["<unk>", "<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.add_tokens([AddedToken("<think>", lstrip=True, rstrip=True)])
    return tokenizer


def truncated(tokenizer: Tokenizer) -> None:
    tokenizer.enable_truncation(16)


def truncated_from_the_left(tokenizer: Tokenizer) -> None:
    tokenizer.enable_truncation(8, stride=2, direction="left")


def padded(tokenizer: Tokenizer) -> None:
    tokenizer.enable_padding(length=128, pad_id=2, pad_token="</s>")


def padded_to_a_multiple(tokenizer: Tokenizer) -> None:
    tokenizer.enable_padding(direction="left", pad_to_multiple_of=64)


def nothing(_tokenizer: Tokenizer) -> None:
    pass


@pytest.mark.parametrize("stored", [nothing, truncated, truncated_from_the_left, padded, padded_to_a_multiple])
def test_a_prompt_is_encoded_whole_as_transformers_does(stored: Callable[[Tokenizer], None], tmp_path: Path) -> None:
    tokenizer = trained()
    stored(tokenizer)
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    spec = job_spec(prompt="<s>User: {question}  <think> \nÄ ok<s>")
    scorer = JobScorer(spec, file)
    reference = PreTrainedTokenizerFast(tokenizer_file=str(file))
    for group in range(5):
        ids = scorer.prompt_ids("train", 0, group)
        assert ids == reference(scorer.prompt("train", 0, group), add_special_tokens=False).input_ids
        assert ids == trained().encode(scorer.prompt("train", 0, group), add_special_tokens=False).ids
        assert (ids[0], ids[-1], ids.count(1), ids.count(2)) == (1, 1, 2, 0)


def test_dropout_of_the_training_script_is_off() -> None:
    """With it two nodes would read two prompts."""
    data = json.loads(trained().to_str())
    data["model"]["dropout"] = 1.0
    careless = Tokenizer.from_str(json.dumps(data))
    expected = trained().encode(CORPUS[0]).ids
    assert careless.encode(CORPUS[0]).ids != expected
    assert load_tokenizer(json.dumps(data).encode()).encode(CORPUS[0]).ids == expected


@settings(deadline=None)
@given(text=st.text(max_size=60), length=st.integers(1, 8))
def test_any_text_is_encoded_alike_whatever_is_stored(text: str, length: int) -> None:
    tokenizer = Tokenizer.from_buffer(tokenizer_json())
    plain = tokenizer.encode(text, add_special_tokens=False).ids
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=64)
    assert load_tokenizer(tokenizer.to_str().encode()).encode(text, add_special_tokens=False).ids == plain


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"version": "1.0"}', b"\xff" * 99])
def test_what_is_no_tokenizer_is_named(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"not a tokenizer\.json"):
        load_tokenizer(data)


def test_a_prompt_beyond_the_models_vocabulary_is_refused() -> None:
    spec = job_spec(prompt="<|end|>{question}", stop_token_ids=(0,))
    JobScorer(spec, tokenizer_json()).check(STOP + 1)
    with pytest.raises(UsageError, match=f"makes token {STOP} of the prompt, but the model knows only {STOP}"):
        JobScorer(spec, tokenizer_json()).check(STOP)


def model(folder: Path, **files: dict[str, Any]) -> Path:
    (folder / "tokenizer.json").write_bytes(tokenizer_json())
    for name, content in ({"config": {"vocab_size": 260}} | files).items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_stop_tokens_are_those_of_all_files(tmp_path: Path) -> None:
    folder = model(
        tmp_path,
        config={"vocab_size": 260, "eos_token_id": 7},
        generation_config={"eos_token_id": [9, 8, 7]},
        tokenizer_config={"eos_token": {"__type": "AddedToken", "content": "<|end|>"}},
    )
    assert stop_tokens(folder) == (9, 8, 7, STOP)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"tokenizer_config": {"eos_token": "<|end|>"}}, (STOP,)),
        ({"special_tokens_map": {"eos_token": {"content": "<|end|>"}}}, (STOP,)),
        ({"generation_config": {"eos_token_id": 0}, "tokenizer_config": {"eos_token": "<none>"}}, (0,)),
        ({"generation_config": {"eos_token_id": None}, "config": {"vocab_size": 260, "eos_token_id": [3, 3]}}, (3,)),
    ],
)
def test_one_file_is_enough(files: dict[str, dict[str, Any]], expected: tuple[int, ...], tmp_path: Path) -> None:
    assert stop_tokens(model(tmp_path, **files)) == expected


def test_a_model_without_an_end_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no eos_token_id and no eos_token") as refused:
        stop_tokens(model(tmp_path))
    assert refused.value.hint == "pass stop_token_ids="


@pytest.mark.parametrize("wrong", [260, -1, "7", 1.5, True, [7], {"id": 7}])
def test_a_stop_token_that_is_none_of_the_models_is_named(wrong: object, tmp_path: Path) -> None:
    folder = model(tmp_path, generation_config={"eos_token_id": [wrong]})
    with pytest.raises(UsageError, match="is not one of the model's 260 token ids"):
        stop_tokens(folder)


def test_given_stop_tokens_stand_alone_and_are_checked(tmp_path: Path) -> None:
    assert check_stops(model(tmp_path), [5, 259, 5]) == (5, 259)
    with pytest.raises(UsageError, match="stop token 260"):
        check_stops(model(tmp_path), [5, 260])
