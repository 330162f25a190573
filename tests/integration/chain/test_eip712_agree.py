"""eth-account, cast and the contracts agree on every EIP-712 digest."""

from __future__ import annotations

import json
import random
import subprocess
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak

from r1net.chain import Chain
from r1net.chain.contract import BoundContract
from r1net.chain.registry import binding_domain
from r1net.protocol.session import SessionGrant, maddrs_digest
from r1net.protocol.signing import Domain, session_values, upload_values
from r1net.protocol.upload import Upload
from tests.e2e.harness.chain import native_binary

KEY = "0x" + "42" * 32
SEEDS = range(8)
DOMAIN_TYPE = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
TYPES: dict[str, list[tuple[str, str]]] = {
    "BindWorker": [("owner", "address"), ("nonce", "uint256"), ("deadline", "uint256")],
    "EpochStatement": [("epoch", "uint256"), ("commitment", "bytes32")],
    "Session": [
        ("owner", "address"),
        ("worker", "address"),
        ("sessionKey", "bytes32"),
        ("peerId", "string"),
        ("maddrs", "bytes32"),
        ("nonce", "bytes32"),
        ("expires", "uint256"),
    ],
    "Submission": [("lease", "string"), ("tracesRoot", "bytes32"), ("count", "uint256")],
    "Upload": [("jobId", "bytes32"), ("expires", "uint256")],
    "Permit": [
        ("owner", "address"),
        ("spender", "address"),
        ("value", "uint256"),
        ("nonce", "uint256"),
        ("deadline", "uint256"),
    ],
}


def document(kind: str, domain: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The JSON that wallets sign."""
    fields = [{"name": name, "type": type_} for name, type_ in TYPES[kind]]
    types = {"EIP712Domain": DOMAIN_TYPE, kind: fields}
    return {"types": types, "primaryType": kind, "domain": domain, "message": values}


def by_eth_account(typed: dict[str, Any]) -> tuple[bytes, str]:
    message = encode_typed_data(full_message=typed)
    signed = Account.sign_message(message, KEY)
    return keccak(b"\x19" + message.version + message.header + message.body), "0x" + bytes(signed.signature).hex()


def by_cast(typed: dict[str, Any]) -> str:
    command = [native_binary("cast"), "wallet", "sign", "--data", json.dumps(typed), "--private-key", KEY]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def sample(source: random.Random, type_: str) -> Any:
    if type_ == "uint256":
        return source.choice([0, 2**256 - 1, source.getrandbits(256)])
    if type_ == "address":
        return str(Account.from_key(source.randbytes(32)).address)
    return "lease-" + source.randbytes(3).hex() if type_ == "string" else "0x" + source.randbytes(32).hex()


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_wallets_sign_alike(kind: str) -> None:
    for seed in SEEDS:
        source = random.Random(seed)
        values = {name: sample(source, type_) for name, type_ in TYPES[kind]}
        domain = {
            "name": "r1net",
            "version": "1",
            "chainId": source.randrange(1, 2**31),
            "verifyingContract": sample(source, "address"),
        }
        # cast takes large numbers as strings only
        texts = {name: str(value) if isinstance(value, int) else value for name, value in values.items()}
        _, signature = by_eth_account(document(kind, domain, values))
        assert by_cast(document(kind, domain, texts)) == signature


def test_the_messages_sign_as_the_wallets_do() -> None:
    """The protocol's own way to a signature is the wallets'."""
    maddrs = ("/ip4/10.0.0.1/tcp/4001", "/ip6/::1/tcp/1")
    grant = SessionGrant(
        owner="0x" + "11" * 20,
        worker=Account.from_key(KEY).address,
        session_key="0x" + "22" * 32,
        peer_id="16Uiu2HA",
        maddrs=maddrs_digest(maddrs),
        nonce="0x" + "33" * 32,
        expires=2**40,
    )
    upload = Upload(job_id="0x" + "44" * 32, expires=7)
    domain = Domain(1, "0x" + "55" * 20)
    wallet = {"name": "r1net", "version": "1", "chainId": 1, "verifyingContract": domain.registry}
    for kind, values in (("Session", session_values(grant)), ("Upload", upload_values(upload))):
        texts = {name: "0x" + value.hex() if isinstance(value, bytes) else str(value) for name, value in values.items()}
        assert list(values) == [name for name, _ in TYPES[kind]]
        assert by_cast(document(kind, wallet, texts)) == domain.sign(Account.from_key(KEY), kind, values)


def test_the_registry_digests_alike(chain: Chain) -> None:
    registry = BoundContract("NodeRegistry", chain.registry.address, chain.sender)
    owner, worker = Account.create().address, Account.create().address
    domain = binding_domain(chain.chain_id(), chain.registry.address)
    digest, _ = by_eth_account(document("BindWorker", domain, {"owner": owner, "nonce": 0, "deadline": 2**40}))
    assert registry.call("bindingDigest", owner, worker, 2**40) == digest


def test_the_fraud_proofs_digest_alike(chain: Chain) -> None:
    fraud = BoundContract("FraudProofs", chain.fraud.address, chain.sender)
    domain = {
        "name": "r1net FraudProofs",
        "version": "1",
        "chainId": chain.chain_id(),
        "verifyingContract": chain.fraud.address,
    }
    values = {"epoch": 7, "commitment": "0x" + "ab" * 32}
    digest, _ = by_eth_account(document("EpochStatement", domain, values))
    assert fraud.call("statementDigest", 7, b"\xab" * 32) == digest


def test_the_token_takes_a_permit(chain: Chain) -> None:
    token = BoundContract("R1Token", chain.token.address, chain.sender)
    owner, spender = Account.from_key(KEY).address, Account.create().address
    domain = {
        "name": "r1net",
        "version": "1",
        "chainId": chain.chain_id(),
        "verifyingContract": chain.token.address,
    }
    values = {"owner": owner, "spender": spender, "value": 5, "nonce": 0, "deadline": 2**40}
    _, signature = by_eth_account(document("Permit", domain, values))
    raw = bytes.fromhex(signature[2:])
    token.send("permit", owner, spender, 5, 2**40, raw[64], raw[:32], raw[32:64])
    assert chain.token.allowance(owner, spender) == 5
