// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../../src/interfaces/IDisputes.sol";

/// @title SubmissionDigest
/// @notice What a worker signs, hashed in plain Solidity.
library SubmissionDigest {
    function digestOf(IDisputes.Submission memory submission, address registry) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("r1net"),
                keccak256("1"),
                block.chainid,
                registry
            )
        );
        bytes32 message = keccak256(
            abi.encode(
                keccak256("Submission(string lease,bytes32 tracesRoot,uint256 count)"),
                keccak256(bytes(submission.lease)),
                submission.tracesRoot,
                submission.count
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, message));
    }
}
