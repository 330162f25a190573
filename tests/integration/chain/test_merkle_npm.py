"""Our trees are those of the npm package @openzeppelin/merkle-tree."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from typing import Any

import pytest

from r1net.chain import Chain, JobSettlement
from r1net.chain.provenance import TraceStatus
from r1net.protocol.merkle import StandardMerkleTree, verify
from r1net.protocol.settlement import NO_ROOT

from .conftest import COIN, ROOT

MULTI = """
const { StandardMerkleTree } = require("@openzeppelin/merkle-tree");
const { rows, indices } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const tree = StandardMerkleTree.of(rows, ["bytes32"]);
process.stdout.write(JSON.stringify({ root: tree.root, ...tree.getMultiProof(indices) }));
"""
SCRIPT = """
const { StandardMerkleTree } = require("@openzeppelin/merkle-tree");
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(cases.map(({ rows, types }) => {
  const tree = StandardMerkleTree.of(rows, types);
  return { root: tree.root, proofs: rows.map((_, index) => tree.getProof(index)) };
})));
"""
REWARD, TRACE = ["uint256", "address", "uint256"], ["bytes32"]


def random_rows(source: random.Random, types: list[str], count: int) -> list[list[Any]]:
    """Rows with edge values among them; amounts as strings, since JavaScript's numbers end at 2^53."""

    def value(kind: str) -> str:
        if kind == "uint256":
            return str(source.choice([0, 1, 2**256 - 1, source.getrandbits(256)]))
        length = 20 if kind == "address" else 32
        return "0x" + source.choice([bytes(length), b"\xff" * length, source.randbytes(length)]).hex()

    return [[value(kind) for kind in types] for _ in range(count)]


def run_npm(script: str, given: Any) -> Any:
    if shutil.which("node") is None or not (ROOT / "contracts/node_modules/@openzeppelin/merkle-tree").exists():
        pytest.skip("run npm ci --ignore-scripts in contracts/")
    folder = ROOT / "contracts"
    command = ["node", "-e", script]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True, cwd=folder)
    return json.loads(done.stdout)


def ours(rows: list[list[Any]], types: list[str]) -> tuple[StandardMerkleTree, list[list[Any]]]:
    integers = [[int(v) if k == "uint256" else v for v, k in zip(row, types, strict=True)] for row in rows]
    return StandardMerkleTree.of(integers, types), integers


def test_roots_and_proofs_are_equal_on_random_leaves() -> None:
    source = random.Random(20260131)
    sizes = [1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 100] + [source.randint(1, 70) for _ in range(28)]
    cases = [{"rows": random_rows(source, types, size), "types": types} for size in sizes for types in (REWARD, TRACE)]
    for case, expected in zip(cases, run_npm(SCRIPT, cases), strict=True):
        tree, rows = ours(case["rows"], case["types"])
        assert tree.root == expected["root"]
        proofs = [tree.proof(index) for index in range(len(rows))]
        for row, proof, theirs in zip(rows, proofs, expected["proofs"], strict=True):
            assert verify(tree.root, case["types"], row, proof)
            assert verify(tree.root, case["types"], row, theirs)
            # equal leaves (edge values repeat) may swap proofs; every other proof is the same
            if rows.count(row) == 1:
                assert proof == theirs


def test_multi_proofs_hold_on_chain(chain: Chain) -> None:
    source = random.Random(7)
    rows = [["0x" + source.randbytes(32).hex()] for _ in range(37)]
    traces = StandardMerkleTree.of(rows, ["bytes32"])
    job = chain.escrow.create_job(chain.token.address, COIN, COIN, traces.root)
    line = JobSettlement(job, 0, NO_ROOT, traces.root, traces.root, len(traces), traces.root, traces.root)
    chain.settlement.propose(1, [line])
    for size in (1, 2, 5, 20, 37):
        answer = run_npm(MULTI, {"rows": rows, "indices": source.sample(range(37), size)})
        named = [(leaf[0], chain.token.address) for leaf in answer["leaves"]]
        assert answer["root"] == traces.root
        found = chain.provenance.trace_statuses(job, 1, named, answer["proof"], answer["proofFlags"])
        assert found == [TraceStatus.PENDING] * size
        named[0] = ("0x" + source.randbytes(32).hex(), chain.token.address)
        found = chain.provenance.trace_statuses(job, 1, named, answer["proof"], answer["proofFlags"])
        assert found == [TraceStatus.UNKNOWN] * size
