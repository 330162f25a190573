"""EIP-712 signatures of the protocol's own messages: a wallet can show what it signs, a contract can check it.

The domain binds a signature to one chain and one deployment: name "r1net", version "1", the chain id, and the
NodeRegistry's address as verifying contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from r1net.errors import ProtocolError
from r1net.protocol.session import SessionGrant
from r1net.protocol.steering import Steering
from r1net.protocol.upload import Upload

_TYPES: dict[str, list[dict[str, str]]] = {
    "Session": [
        {"name": "owner", "type": "address"},
        {"name": "worker", "type": "address"},
        {"name": "sessionKey", "type": "bytes32"},
        {"name": "peerId", "type": "string"},
        {"name": "maddrs", "type": "bytes32"},
        {"name": "nonce", "type": "bytes32"},
        {"name": "expires", "type": "uint256"},
    ],
    "Upload": [
        {"name": "jobId", "type": "bytes32"},
        {"name": "expires", "type": "uint256"},
    ],
    "Steering": [
        {"name": "jobId", "type": "bytes32"},
        {"name": "action", "type": "string"},
        {"name": "issued", "type": "uint256"},
    ],
    "Submission": [
        {"name": "lease", "type": "string"},
        {"name": "tracesRoot", "type": "bytes32"},
        {"name": "count", "type": "uint256"},
    ],
    "Dialled": [
        {"name": "worker", "type": "address"},
        {"name": "nonce", "type": "bytes32"},
    ],
    "Receipt": [
        {"name": "lease", "type": "string"},
        {"name": "worker", "type": "address"},
        {"name": "tracesRoot", "type": "bytes32"},
        {"name": "accepted", "type": "uint256"},
        {"name": "tokens", "type": "uint256"},
    ],
}


@dataclass(frozen=True)
class Domain:
    """Where a signature holds: one chain, one NodeRegistry."""

    chain_id: int
    registry: str

    def encode(self, kind: str, values: dict[str, Any]) -> SignableMessage:
        """The EIP-712 message of type `kind`."""
        separator = {"name": "r1net", "version": "1", "chainId": self.chain_id, "verifyingContract": self.registry}
        return encode_typed_data(domain_data=separator, message_types={kind: _TYPES[kind]}, message_data=values)

    def sign(self, key: LocalAccount, kind: str, values: dict[str, Any]) -> str:
        """65-byte signature as `0x` hex."""
        return "0x" + key.sign_message(self.encode(kind, values)).signature.hex().removeprefix("0x")

    def signer(self, kind: str, values: dict[str, Any], signature: str) -> str:
        """The account that signed, checksummed. Raises ProtocolError on a malformed signature."""
        try:
            return str(Account.recover_message(self.encode(kind, values), signature=signature))
        except Exception as error:  # eth-keys raises a dozen unrelated types on hostile bytes
            raise ProtocolError(f"malformed signature: {type(error).__name__}") from error

    def public_key(self, kind: str, values: dict[str, Any], signature: str) -> bytes:
        """The signer's public key, 64 bytes x‖y: what its libp2p peer id is made of. Raises ProtocolError."""
        message = self.encode(kind, values)
        digest = keccak(b"\x19" + message.version + message.header + message.body)
        raw = bytes.fromhex(signature.removeprefix("0x"))
        try:
            recovered = Signature(raw[:64] + bytes([raw[64] % 27])).recover_public_key_from_msg_hash(digest)
        except (BadSignature, ValidationError, IndexError) as error:
            raise ProtocolError(f"malformed signature: {type(error).__name__}") from error
        return bytes(recovered.to_bytes())


def session_values(grant: SessionGrant) -> dict[str, Any]:
    """Typed-data values of a session grant."""
    return {
        "owner": grant.owner,
        "worker": grant.worker,
        "sessionKey": bytes.fromhex(grant.session_key[2:]),
        "peerId": grant.peer_id,
        "maddrs": bytes.fromhex(grant.maddrs[2:]),
        "nonce": bytes.fromhex(grant.nonce[2:]),
        "expires": grant.expires,
    }


def upload_values(upload: Upload) -> dict[str, Any]:
    """Typed-data values of a permission to upload."""
    return {"jobId": bytes.fromhex(upload.job_id[2:]), "expires": upload.expires}


def steering_values(steering: Steering) -> dict[str, Any]:
    """Typed-data values of pausing or resuming a job."""
    return {
        "jobId": bytes.fromhex(steering.job_id[2:]),
        "action": steering.action,
        "issued": steering.issued,
    }


def submission_values(lease_id: str, traces_root: str, count: int) -> dict[str, Any]:
    """Typed-data values of a rollout submission."""
    return {"lease": lease_id, "tracesRoot": bytes.fromhex(traces_root[2:]), "count": count}


def dialled_values(worker: str, nonce: str) -> dict[str, Any]:
    """Typed-data values of a proof that a worker was reached."""
    return {"worker": worker, "nonce": bytes.fromhex(nonce[2:])}


def receipt_values(lease_id: str, worker: str, traces_root: str, accepted: int, tokens: int) -> dict[str, Any]:
    """Typed-data values of a receipt."""
    return {
        "lease": lease_id,
        "worker": worker,
        "tracesRoot": bytes.fromhex(traces_root[2:]),
        "accepted": accepted,
        "tokens": tokens,
    }
