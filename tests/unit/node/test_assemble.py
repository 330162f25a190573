"""A job's model as a node puts it together from a coordinator's blobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from r1net.errors import UsageError
from r1net.models import describe_model
from r1net.protocol.weight_files import INDEX
from r1net.transport import Transport
from r1node.store import Store
from tests.adversarial.coordinator.served import Served
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec
from tests.unit.node.models import llama
from tests.unit.sdk.checkpoints import index_of, shard, two_shards, unchecked, vectors

SMALL = {name: MODEL_FILES[name] for name in ("config.json", "tokenizer.json")}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("coordinator")).running() as own:
        yield own


def test_shards_come_together(served: Served, tmp_path: Path) -> None:
    base = tmp_path / "base"
    llama().save_pretrained(base, max_shard_size="40KB")
    (base / "tokenizer.json").write_bytes(MODEL_FILES["tokenizer.json"])
    model = describe_model(base)
    assert len(model.weights) > 1
    served.take(job_spec(model=model), {name: (base / name).read_bytes() for name in model.files})
    with Transport(served.url) as transport:
        folder = Store(tmp_path / "node").model(model, transport)
    found = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert all((value == found[name]).all() for name, value in llama().state_dict().items())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({shard(1, 2): vectors("a", "d")}, "does not say"),
        ({INDEX: index_of({"a": shard(1, 2), "b": shard(2, 2)})}, "does not say"),
        ({shard(2, 2): vectors("b")[:-1]}, "end at byte"),
        ({shard(2, 2): b"\\xff" * 64}, "no safetensors file"),
    ],
)
def test_weights_that_are_not_whole_are_refused(
    served: Served, tmp_path: Path, changes: dict[str, bytes], words: str | None
) -> None:
    """The coordinator doesn't look into weights; the node does before any library."""
    files = SMALL | two_shards() | changes
    model = unchecked(files)
    served.take(job_spec(model=model), files)
    with Transport(served.url) as transport:
        if words is None:
            assert (Store(tmp_path).model(model, transport) / INDEX).is_file()
            return
        with pytest.raises(UsageError, match=f"the job's model can't be loaded.*({words})"):
            Store(tmp_path).model(model, transport)
