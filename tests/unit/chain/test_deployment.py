"""Deployment files."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1net.chain.deployment import Deployment
from r1net.errors import ChainError

ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


def test_what_is_saved_can_be_loaded(tmp_path: Path) -> None:
    given = Deployment(chain_id=31337, contracts={"R1Token": ADDRESS}, block=7, parameters={"supply": 10**27})
    path = tmp_path / "folder" / "deployment.json"
    given.save(path)
    assert Deployment.load(path) == given
    assert [entry.name for entry in path.parent.iterdir()] == ["deployment.json"]


def test_a_missing_contract_is_named() -> None:
    with pytest.raises(ChainError, match="no Rewards"):
        Deployment(chain_id=1, contracts={}, block=0).address("Rewards")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="no deployment file"):
        Deployment.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"chain_id": 0, "contracts": {}, "block": 0}',
        '{"chain_id": 1, "contracts": {"R1Token": "0x5fbdb2315678afecb367f032d93f642f64180aa3"}, "block": 0}',
        '{"chain_id": 1, "contracts": {}, "block": 0, "more": 1}',
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(text)
    with pytest.raises(ChainError, match="not a deployment file"):
        Deployment.load(path)
