// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import { IDisputes } from "../interfaces/IDisputes.sol";

/// @title SubmissionHash
/// @notice The digest that a worker signs when it hands in traces, in the protocol's EIP-712 domain.
library SubmissionHash {
    bytes32 internal constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 internal constant SUBMISSION_TYPEHASH =
        keccak256("Submission(string lease,bytes32 tracesRoot,uint256 count)");

    /// @notice The digest of a submission. The protocol's domain names the registry, not the contract that checks.
    function digestOf(IDisputes.Submission calldata submission, address registry) internal view returns (bytes32) {
        bytes32 domain =
            keccak256(abi.encode(DOMAIN_TYPEHASH, keccak256("r1net"), keccak256("1"), block.chainid, registry));
        bytes32 message = keccak256(
            abi.encode(SUBMISSION_TYPEHASH, keccak256(bytes(submission.lease)), submission.tracesRoot, submission.count)
        );
        return MessageHashUtils.toTypedDataHash(domain, message);
    }
}
