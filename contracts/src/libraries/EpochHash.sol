// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ISettlement } from "../interfaces/ISettlement.sol";

/// @title EpochHash
/// @notice The commitment to an epoch's content: keccak256(abi.encode(content)).
library EpochHash {
    /// @notice The commitment.
    function hashOf(ISettlement.EpochContent calldata content) internal pure returns (bytes32 hash) {
        // Solidity checks here that the jobs lie within the call data.
        ISettlement.JobSettlement[] calldata jobs = content.jobs;
        // Every field is a full word, so the canonical encoding can be copied instead of being encoded field by field.
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, 0x20)
            mstore(add(words, 0x20), calldataload(content))
            mstore(add(words, 0x40), 0x40)
            mstore(add(words, 0x60), jobs.length)
            let size := shl(8, jobs.length)
            calldatacopy(add(words, 0x80), jobs.offset, size)
            hash := keccak256(words, add(size, 0x80))
        }
    }
}
