"""Peer ids of worker keys; that they are p2pd's own is tested in tests/integration/node/test_swarm.py."""

from __future__ import annotations

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from r1net.chain.identity import base58, peer_id_bytes, peer_id_of, public_key_of
from r1net.errors import ChainError

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
private_keys = st.integers(1, CURVE_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))


@settings(max_examples=50, deadline=None)
@given(private_keys)
def test_compressed_and_uncompressed_keys_agree(private_key: bytes) -> None:
    full = public_key_of(Account.from_key(private_key))
    compressed = (b"\x03" if full[63] & 1 else b"\x02") + full[:32]
    assert peer_id_of(full) == peer_id_of(compressed)
    assert peer_id_of(full).startswith("16Uiu2HA")


@pytest.mark.parametrize("length", [0, 20, 32, 65])
def test_other_lengths_are_refused(length: int) -> None:
    with pytest.raises(ChainError, match="33 or 64 bytes"):
        peer_id_bytes(bytes(length))


@given(st.binary(max_size=60))
def test_base58_is_the_librarys(data: bytes) -> None:
    library = pytest.importorskip("base58")
    assert base58(data) == library.b58encode(data).decode()
