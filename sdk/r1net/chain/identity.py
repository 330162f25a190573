"""A worker's secp256k1 key seen three ways: Ethereum address, public key, libp2p peer id."""

from __future__ import annotations

from eth_account.signers.local import LocalAccount
from eth_keys.datatypes import PrivateKey

from r1net.errors import ChainError

_PREFIX = bytes.fromhex("002508021221")  # identity multihash of 37 bytes: protobuf {type: secp256k1, data: 33 bytes}
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def public_key_of(key: LocalAccount) -> bytes:
    """The uncompressed public key, 64 bytes x‖y."""
    return PrivateKey(bytes(key.key)).public_key.to_bytes()


def peer_id_bytes(public_key: bytes) -> bytes:
    """The libp2p peer id of a public key (64 bytes x‖y, or 33 bytes compressed), as the 39 bytes of its multihash."""
    if len(public_key) == 64:
        parity = b"\x03" if public_key[63] & 1 else b"\x02"
        public_key = parity + public_key[:32]
    if len(public_key) != 33:
        raise ChainError(f"a public key has 33 or 64 bytes, not {len(public_key)}")
    return _PREFIX + public_key


def peer_id_of(key: LocalAccount | bytes) -> str:
    """The libp2p peer id (`16Uiu2HA…`) of a worker's account or public key."""
    return base58(peer_id_bytes(key if isinstance(key, bytes) else public_key_of(key)))


def base58(data: bytes) -> str:
    """Base58 in the Bitcoin alphabet, leading zero bytes as `1`."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text
