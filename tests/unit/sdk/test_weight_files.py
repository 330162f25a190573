"""Which weight files are taken, and what a header may say."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import save, save_file

from r1net.errors import UsageError
from r1net.models import describe_model, own_precision
from r1net.protocol.files import FileRef
from r1net.protocol.job import ModelRef
from r1net.protocol.weight_files import INDEX, MOST_INDEX_BYTES, SINGLE, check_index, weight_names
from r1net.weights.checkpoint import read_checkpoint
from r1net.weights.header import MOST_HEADER_BYTES, read_header
from tests.unit.sdk.checkpoints import entry, file_of, index_of, shard, two_shards, vectors, write_folder

FILE = FileRef(sha256="0x" + "0" * 64, size=1)
ALWAYS = ("config.json", "tokenizer.json")


def reference(*names: str) -> ModelRef:
    return ModelRef(name="m", files=dict.fromkeys((*ALWAYS, *names), FILE))


def test_one_file_or_all_shards_with_their_index() -> None:
    assert reference(SINGLE).weights == (SINGLE,)
    shards = tuple(shard(n, 12) for n in range(1, 13))
    assert reference(INDEX, *reversed(shards), "chat_template.jinja").weights == shards
    assert reference(INDEX, shard(1, 1)).weights == (shard(1, 1),)


@pytest.mark.parametrize(
    "names",
    [
        (),
        (INDEX,),
        (shard(1, 1),),
        (SINGLE, INDEX),
        (SINGLE, shard(1, 1)),
        (INDEX, shard(1, 2)),
        (INDEX, shard(1, 2), shard(2, 2), shard(3, 2)),
        (INDEX, shard(1, 2), shard(2, 3)),
        (INDEX, shard(0, 1)),
        (INDEX, *(shard(n, 241) for n in range(1, 242))),
        (SINGLE, "pytorch_model.bin"),
        (SINGLE, "model.gguf"),
        (SINGLE, "adapter_config.json"),
        (SINGLE, "adapter_model.safetensors"),
        (SINGLE, "modeling_mine.py"),
        (SINGLE, "model-1-of-1.safetensors"),
    ],
)
def test_anything_else_is_no_model(names: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        reference(*names)


def test_a_folder_in_shards_is_described(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, two_shards() | {"pytorch_model.bin": b"x", "notes.txt": b"x"})
    model = describe_model(folder)
    assert model.files.keys() == {*ALWAYS, INDEX, shard(1, 2), shard(2, 2)}
    assert model.weights == (shard(1, 2), shard(2, 2))
    assert list(read_checkpoint(folder, model.weights)) == ["a", "c", "b"]
    (folder / SINGLE).write_bytes(vectors("a"))
    assert describe_model(folder).weights == (SINGLE,), "a whole file goes before shards, as transformers has it"


def test_small_files_are_checked_before_anything_is_paid(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {SINGLE: vectors("a"), "tokenizer_config.json": b'{"auto_map": {"a": "b"}}'})
    with pytest.raises(UsageError, match="code of its own"):
        describe_model(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.gguf", "model.pt", "consolidated.safetensors"])
def test_other_forms_are_refused_in_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        describe_model(write_folder(tmp_path, {name: b"x"}))
    assert "save_pretrained" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({shard(2, 2): None}, "which is not there"),
        ({INDEX: None}, "weights are in"),
        ({INDEX: index_of({"a": shard(1, 2), "b": shard(2, 2)})}, "does not say"),
        ({INDEX: index_of(dict.fromkeys("acd", shard(1, 2)) | {"b": shard(2, 2)})}, "does not hold"),
        ({INDEX: index_of({"a": shard(1, 2), "b": shard(1, 2), "c": shard(2, 2)})}, "does not say"),
        ({INDEX: index_of({"a": "../a.safetensors"})}, "found ../a"),
        ({INDEX: index_of({"a": 1})}, "weight_map"),
        ({INDEX: index_of({})}, "weight_map"),
        ({INDEX: b'{"weight_map": {"a": "x", "a": "y"}}'}, "comes twice"),
        ({INDEX: b"[]"}, "not a JSON object"),
        ({shard(2, 2): vectors("b", "c")}, "in both"),
        ({shard(2, 2): vectors("b", "d")}, "does not say"),
        ({shard(1, 2): vectors("a")}, "does not hold"),
    ],
)
def test_index_and_shards_must_agree(tmp_path: Path, changes: dict[str, bytes | None], words: str) -> None:
    files = {name: data for name, data in (two_shards() | changes).items() if data is not None}
    with pytest.raises(UsageError, match=words):
        describe_model(write_folder(tmp_path, files))


def test_an_index_names_exactly_the_shards_of_the_job() -> None:
    data = two_shards()[INDEX]
    assert check_index(data, [shard(1, 2), shard(2, 2)])["b"] == shard(2, 2)
    for shards in ([shard(1, 2)], [shard(1, 2), shard(2, 2), shard(3, 3)]):
        with pytest.raises(UsageError):
            check_index(data, shards)
    with pytest.raises(UsageError, match="at most"):
        check_index(b" " * (MOST_INDEX_BYTES + 1), [])


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    tensors = {
        "w": torch.randn(3, 4),
        "half": torch.randn(2).half(),
        "bf": torch.randn(5, 1, 2).bfloat16(),
        "scalar": torch.tensor(1.0),
        "none": torch.zeros(0, 3),
    }
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = read_header(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    content = (tmp_path / "x.safetensors").read_bytes()
    for name, tensor in tensors.items():
        stored = found[name]
        assert stored.shape == tuple(tensor.shape)
        values = torch.frombuffer(bytearray(content[stored.start : stored.end] + b"\0\0\0\0"), dtype=tensor.dtype)
        assert torch.equal(values[: tensor.numel()].view(tensor.shape), tensor)


ONE = entry("BF16", [2, 3], 0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 64,
        (2**60).to_bytes(8, "little") + b"{}",
        (3).to_bytes(8, "little") + b"{}",
        file_of(b"", 0),
        file_of(b" {}", 0),
        file_of(b"[]", 0),
        file_of(b"{" * 5000, 0),
        file_of(b'{"a":' * 40 + b"1" + b"}" * 40, 0),
        file_of(b'{"a": NaN}', 0),
        file_of('{"a": {}}'.encode("utf-16-le"), 0),
        file_of(json.dumps({"a": ONE}).encode()[:-1] + b', "a":' + json.dumps(ONE).encode() + b"}", 12),
        file_of({"a": ONE}, 11),
        file_of({"a": ONE}, 13),
        file_of({"a": ONE | {"data_offsets": [0, 14]}}, 14),
        file_of({"a": ONE | {"data_offsets": [12, 0]}}, 12),
        file_of({"a": ONE | {"data_offsets": [-12, 0]}}, 12),
        file_of({"a": ONE | {"data_offsets": [0]}}, 12),
        file_of({"a": ONE | {"data_offsets": [0.0, 12.0]}}, 12),
        file_of({"a": ONE | {"data_offsets": "ab"}}, 12),
        file_of({"a": ONE | {"shape": [-2, -3]}}, 12),
        file_of({"a": ONE | {"shape": [True, 6]}}, 12),
        file_of({"a": ONE | {"shape": [1] * 9}}, 2),
        file_of({"a": ONE | {"shape": [2**40, 2**40, 0], "data_offsets": [0, 2**60]}}, 12),
        file_of({"a": ONE | {"shape": {}}}, 12),
        file_of({"a": ONE | {"dtype": ["BF16"]}}, 12),
        file_of({"a": ONE | {"more": 1}}, 12),
        file_of({"a": {"dtype": "BF16", "shape": [6]}}, 12),
        file_of({"a": [1]}, 12),
        file_of({"a": ONE, "b": ONE}, 12),
        file_of({"a": ONE, "b": entry("BF16", [2], 8)}, 12),
        file_of({"a": ONE, "b": entry("BF16", [2], 16)}, 20),
        file_of({"a": entry("BF16", [2], 4)}, 8),
        file_of({"a": ONE, "__metadata__": {"format": 1}}, 12),
        file_of({"a": ONE, "__metadata__": []}, 12),
        file_of({"a": entry("I64", [2], 0)}, 16),
        file_of({"a": entry("F8_E4M3", [2], 0)}, 2),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / SINGLE
    path.write_bytes(content)
    with pytest.raises(UsageError, match=SINGLE):
        read_header(path)


def test_a_long_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / SINGLE
    with path.open("wb") as file:
        file.write((MOST_HEADER_BYTES + 1).to_bytes(8, "little") + b"{}")
        file.truncate(MOST_HEADER_BYTES + 9)
    with pytest.raises(UsageError, match="at most"):
        read_header(path)


@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 255))
def test_any_damage_is_refused_or_harmless(tail: bytes, place: int, value: int) -> None:
    """Whatever the header says after the damage, no tensor reaches beyond the file, and none overlaps another."""
    content = bytearray(save({"a": torch.ones(3), "b": torch.ones(2, 2).bfloat16()}) + tail)
    content[place % len(content)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SINGLE
        path.write_bytes(content)
        try:
            found = read_header(path)
        except UsageError:
            return
    reached = 8 + int.from_bytes(content[:8], "little")
    for tensor in found.values():
        assert tensor.start == reached
        reached = tensor.end
    assert reached == len(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.text(max_size=4) | st.just("__metadata__"),
        JSON
        | st.fixed_dictionaries(
            {"dtype": st.sampled_from(["F32", "BF16"]) | JSON, "shape": JSON, "data_offsets": JSON}
        ),
        max_size=4,
    )
)
def test_any_header_is_read_or_refused(header: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SINGLE
        path.write_bytes(file_of(header, 8))
        with suppress(UsageError):
            assert sum(tensor.end - tensor.start for tensor in read_header(path).values()) == 8


@given(
    st.lists(st.sampled_from([SINGLE, INDEX, *(shard(n, t) for t in (1, 2, 3) for n in range(1, t + 1))]), unique=True)
)
def test_only_whole_sets_of_files_are_taken(names: list[str]) -> None:
    whole = [{SINGLE}, *({INDEX, *(shard(n, t) for n in range(1, t + 1))} for t in (1, 2, 3))]
    try:
        assert set(weight_names(names)) - {INDEX} == set(names) - {INDEX}
        assert set(names) in whole
    except UsageError:
        assert set(names) not in whole


@pytest.mark.parametrize(("kept", "expected"), [("F32", "float32"), ("BF16", "bfloat16"), ("F16", "bfloat16")])
def test_a_job_keeps_the_precision_of_its_model(kept: str, expected: str, tmp_path: Path) -> None:
    dtypes = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
    save_file({"a": torch.zeros(2, dtype=dtypes[kept])}, tmp_path / "model.safetensors")
    assert own_precision(tmp_path) == expected
