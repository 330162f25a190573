// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title MerklePath
/// @notice Leaves and proofs of a StandardMerkleTree: the same results as OpenZeppelin's MerkleProof and the plain
/// Solidity of a leaf, at less than half of their gas, which is what a claim spends most of its own work on.
library MerklePath {
    /// @notice The leaf of ["uint256", "address", "uint256"]; hashed twice, so that an inner node never passes for one.
    function rewardLeaf(uint256 index, address account, uint256 amount) internal pure returns (bytes32 leaf) {
        // keccak256(bytes.concat(keccak256(abi.encode(...)))) without two allocations: the words are put behind the
        // free memory pointer and forgotten.
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, index)
            mstore(add(words, 0x20), shr(96, shl(96, account)))
            mstore(add(words, 0x40), amount)
            mstore(0x00, keccak256(words, 0x60))
            leaf := keccak256(0x00, 0x20)
        }
    }

    /// @notice The root to which a leaf and its siblings, from the bottom up, lead.
    function rootOf(bytes32[] calldata proof, bytes32 leaf) internal pure returns (bytes32 node) {
        node = leaf;
        // The ABI decoder has checked that the whole proof lies within the call data; only scratch space is written.
        assembly ("memory-safe") {
            let at := proof.offset
            let end := add(at, shl(5, proof.length))
            // Pairs are hashed in ascending order: the larger one goes to 0x20. An odd level first, then two in each
            // round with the test at its end, which spares jumps.
            if and(proof.length, 1) {
                let sibling := calldataload(at)
                let place := shl(5, gt(node, sibling))
                mstore(place, node)
                mstore(xor(place, 0x20), sibling)
                node := keccak256(0x00, 0x40)
                at := add(at, 0x20)
            }
            if lt(at, end) {
                for { } 1 { } {
                    let sibling := calldataload(at)
                    let place := shl(5, gt(node, sibling))
                    mstore(place, node)
                    mstore(xor(place, 0x20), sibling)
                    node := keccak256(0x00, 0x40)
                    sibling := calldataload(add(at, 0x20))
                    place := shl(5, gt(node, sibling))
                    mstore(place, node)
                    mstore(xor(place, 0x20), sibling)
                    node := keccak256(0x00, 0x40)
                    at := add(at, 0x40)
                    if iszero(lt(at, end)) { break }
                }
            }
        }
    }
}
