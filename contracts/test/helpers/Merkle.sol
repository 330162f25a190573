// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Merkle
/// @notice Small trees for tests: heap array, sorted pairs, as OpenZeppelin's StandardMerkleTree (leaves not sorted).
library Merkle {
    function pair(bytes32 a, bytes32 b) internal pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    function tree(bytes32[] memory leaves) internal pure returns (bytes32[] memory nodes) {
        uint256 count = leaves.length;
        nodes = new bytes32[](2 * count - 1);
        for (uint256 i = 0; i < count; ++i) {
            nodes[2 * count - 2 - i] = leaves[i];
        }
        for (uint256 i = count - 1; i > 0; --i) {
            nodes[i - 1] = pair(nodes[2 * i - 1], nodes[2 * i]);
        }
    }

    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        return tree(leaves)[0];
    }

    function proof(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory path) {
        bytes32[] memory nodes = tree(leaves);
        bytes32[] memory full = new bytes32[](64);
        uint256 depth = 0;
        for (uint256 node = nodes.length - 1 - index; node > 0; node = (node - 1) / 2) {
            full[depth++] = nodes[node % 2 == 1 ? node + 1 : node - 1];
        }
        path = new bytes32[](depth);
        for (uint256 i = 0; i < depth; ++i) {
            path[i] = full[i];
        }
    }

    function rewardLeaf(uint256 index, address account, uint256 amount) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(index, account, amount))));
    }

    function traceLeaf(bytes32 digest) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(digest))));
    }

    /// @dev Leaves of traces first, first + 1, …
    function traces(uint256 first, uint256 count) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = traceLeaf(bytes32(first + i));
        }
    }
}
