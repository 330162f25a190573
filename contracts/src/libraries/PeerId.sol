// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title PeerId
/// @notice Addresses and libp2p peer ids of secp256k1 public keys.
library PeerId {
    /// @dev identity multihash (0x00) of 37 bytes: protobuf {1: key type 2 (secp256k1), 2: 33 bytes}.
    bytes6 private constant PREFIX = 0x002508021221;

    /// @notice The Ethereum address of the key.
    function addressOf(bytes32 x, bytes32 y) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(x, y)))));
    }

    /// @notice The libp2p peer id, as bytes: prefix, then the compressed key.
    function bytesOf(bytes32 x, bytes32 y) internal pure returns (bytes memory) {
        bytes1 parity = uint256(y) & 1 == 0 ? bytes1(0x02) : bytes1(0x03);
        return abi.encodePacked(PREFIX, parity, x);
    }
}
