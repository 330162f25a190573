"""Encodings, trees, seeds and signatures: properties that must hold for any input."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from r1net.errors import ProtocolError
from r1net.protocol.canonical import canonical_bytes, sha256
from r1net.protocol.merkle import StandardMerkleTree, leaf_hash, verify
from r1net.protocol.seeds import derive_seed
from r1net.protocol.session import (
    SessionGrant,
    check_request,
    content_digest,
    maddrs_digest,
    parse_content_digest,
    sign_request,
)
from r1net.protocol.settlement import REWARD_LEAF, Reward
from r1net.protocol.signing import Domain, session_values
from r1net.protocol.trace import Trace, TraceBundle

hashes = st.binary(min_size=32, max_size=32).map(lambda raw: "0x" + raw.hex())
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@st.composite
def traces(draw: Any) -> Trace:
    length = draw(st.integers(1, 6))
    return Trace(
        job_id=draw(hashes),
        split=draw(st.sampled_from(["train", "heldout"])),
        round=draw(st.integers(0, 1000)),
        group=draw(st.integers(0, 1000)),
        index=draw(st.integers(0, 63)),
        policy=draw(hashes),
        worker=draw(addresses),
        prompt_ids=tuple(draw(st.lists(st.integers(0, 2**31), min_size=1, max_size=6))),
        completion_ids=tuple(draw(st.lists(st.integers(0, 2**31), min_size=length, max_size=length))),
        logprobs=tuple(draw(st.lists(finite, min_size=length, max_size=length))),
        reward_parts=draw(st.dictionaries(st.text(max_size=5), st.none() | finite, max_size=3)),
        reward=draw(finite),
        finish_reason=draw(st.sampled_from(["stop", "length"])),
        seed=draw(st.integers(0, 2**53 - 1)),
    )


@given(traces())
def test_a_trace_survives_the_wire_with_its_digest(trace: Trace) -> None:
    for text in (trace.canonical(), trace.model_dump_json(), json.dumps(trace.model_dump(mode="json"))):
        again = Trace.parse(text)
        assert again == trace
        assert again.digest() == trace.digest()


@given(traces(), st.sampled_from(["round", "group", "index", "seed"]))
def test_any_change_changes_the_digest(trace: Trace, field: str) -> None:
    changed = trace.model_copy(update={field: getattr(trace, field) ^ 1})
    assert changed.digest() != trace.digest()


@given(st.integers(1, 2**256 - 1))
def test_wei_of_any_size_survives(amount: int) -> None:
    row = Reward(account="0x" + "22" * 20, amount=amount)
    assert Reward.parse(row.canonical()).amount == amount
    assert f'"{amount}"'.encode() in row.canonical()


@pytest.mark.parametrize("bad", ["-1", "0", "1.5", "0x10", " 7", "", "１", str(2**256), -1, 1.0, True, None])
def test_wei_that_is_none_is_refused(bad: object) -> None:
    row = {"account": "0x" + "22" * 20, "amount": bad}
    with pytest.raises(ProtocolError):
        Reward.parse(json.dumps(row))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 2**53 + 1, {1: 2}, object()])
def test_what_has_no_canonical_form_is_refused(bad: object) -> None:
    with pytest.raises(ProtocolError):
        canonical_bytes({"value": bad})


def test_unknown_keys_are_refused_by_name() -> None:
    with pytest.raises(ProtocolError, match="surprise"):
        TraceBundle.parse('{"lease_id": "x", "traces": [], "surprise": 1}')


words = st.integers(0, 2**256 - 1)


@given(st.lists(st.tuples(words, addresses, words), min_size=1, max_size=40, unique=True))
def test_every_row_is_proved_and_no_other(rows: list[tuple[int, str, int]]) -> None:
    tree = StandardMerkleTree.of(rows, REWARD_LEAF)
    for index, row in enumerate(rows):
        proof = tree.proof(index)
        assert verify(tree.root, REWARD_LEAF, row, proof)
        richer = (row[0], row[1], (row[2] + 1) % 2**256)
        assert not verify(tree.root, REWARD_LEAF, richer, proof) or richer in rows
    shuffled = random.Random(0).sample(rows, len(rows))
    assert StandardMerkleTree.of(shuffled, REWARD_LEAF).root == tree.root


def test_an_inner_node_is_not_a_leaf() -> None:
    """Second pre-image: the concatenation of two leaves is no row of the tree."""
    rows = [("0x" + f"{n:064x}",) for n in range(2)]
    tree = StandardMerkleTree.of(rows, ["bytes32"])
    a, b = sorted(leaf_hash(row, ["bytes32"]) for row in rows)
    assert not verify(tree.root, ["bytes32", "bytes32"], ("0x" + a.hex(), "0x" + b.hex()), [])


def test_an_empty_tree_is_refused() -> None:
    with pytest.raises(ProtocolError):
        StandardMerkleTree.of([], ["bytes32"])


paths = st.lists(st.text(max_size=4) | st.integers(0, 99), max_size=4)


@given(st.integers(0, 2**53), paths, paths)
def test_seeds_are_named_by_their_whole_path(root: int, one: list[Any], two: list[Any]) -> None:
    same = [(type(x), x) for x in one] == [(type(x), x) for x in two]
    assert (derive_seed(root, *one) == derive_seed(root, *two)) == same


def test_seeds_do_not_change_with_versions_of_the_code() -> None:
    assert derive_seed(1, "draw", 2, 3) == 3660303030156943546


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=64, max_size=66))
def test_malformed_signatures_raise_our_error(raw: bytes) -> None:
    domain, key = Domain(31337, "0x" + "33" * 20), Account.create()
    grant = SessionGrant(
        owner=key.address,
        worker=key.address,
        session_key="0x" + "44" * 32,
        peer_id="p",
        maddrs=maddrs_digest(()),
        nonce="0x" + "55" * 32,
        expires=2_000_000_000,
    )
    good = domain.sign(key, "Session", session_values(grant))
    assert domain.signer("Session", session_values(grant), good) == key.address
    try:
        signer = domain.signer("Session", session_values(grant), "0x" + raw.hex())
    except ProtocolError:
        return
    assert signer != key.address


def test_a_signature_holds_on_one_chain_and_contract_only() -> None:
    key = Account.create()
    here = Domain(1, "0x" + "33" * 20)
    values = {"lease": "l", "tracesRoot": b"\x01" * 32, "count": 3}
    signature = here.sign(key, "Submission", values)
    assert here.signer("Submission", values, signature) == key.address
    assert Domain(2, here.registry).signer("Submission", values, signature) != key.address
    assert Domain(1, "0x" + "34" * 20).signer("Submission", values, signature) != key.address


@pytest.mark.parametrize(
    "change",
    [("GET",), ("POST", "/v1/other"), ("POST", "/v1/work", sha256(b"{ }")), ("POST", "/v1/work", sha256(b"{}"), "2")],
)
def test_a_request_signature_covers_every_part(change: tuple[Any, ...]) -> None:
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    public = "0x" + raw.hex()
    request = ("POST", "/v1/work", sha256(b"{}"), "1", "n")
    signature = sign_request(key, *request)
    check_request(public, signature, *request)
    with pytest.raises(ProtocolError):
        check_request(public, signature, *(*change, *request[len(change) :]))


@given(st.binary(max_size=100))
def test_a_content_digest_says_what_was_hashed(body: bytes) -> None:
    """RFC 9530's form; the RFC's own example is among the tests below."""
    assert parse_content_digest(content_digest(sha256(body))) == sha256(body)


def test_the_example_of_rfc_9530() -> None:
    field = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    assert content_digest(sha256(b'{"hello": "world"}\n')) == field
    assert parse_content_digest(f"md5=:AAAA:, {field}") == sha256(b'{"hello": "world"}\n')
    for wrong in ("", "sha-256=RK/0qy18", "sha-256=:RK/0:", "sha-512=:AAAA:"):
        with pytest.raises(ProtocolError):
            parse_content_digest(wrong)
