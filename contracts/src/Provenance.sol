// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import { IProvenance } from "./interfaces/IProvenance.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";

/// @title Provenance
/// @notice See {IProvenance}.
contract Provenance is IProvenance {
    /// @notice Where epochs are anchored.
    ISettlement public immutable settlement;
    /// @inheritdoc IProvenance
    mapping(address author => bytes32) public headOf;

    constructor(ISettlement settlement_) {
        settlement = settlement_;
    }

    /// @inheritdoc IProvenance
    function state(Kind kind, bytes32 subject, bytes32 value) external returns (bytes32 head) {
        head = keccak256(abi.encode(headOf[msg.sender], kind, subject, value));
        headOf[msg.sender] = head;
        emit Stated(msg.sender, kind, subject, value, head);
    }

    /// @inheritdoc IProvenance
    function verifyTrace(
        ISettlement.EpochContent calldata content,
        uint256 jobIndex,
        bytes32 traceDigest,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return MerkleProof.verifyCalldata(proof, _tracesRoot(content, jobIndex), _leaf(traceDigest));
    }

    /// @inheritdoc IProvenance
    function verifyTraces(
        ISettlement.EpochContent calldata content,
        uint256 jobIndex,
        bytes32[] calldata traceDigests,
        bytes32[] calldata proof,
        bool[] calldata proofFlags
    ) external view returns (bool) {
        bytes32 root = _tracesRoot(content, jobIndex);
        // A multi-proof of no leaves at all proves nothing, yet would verify.
        if (traceDigests.length == 0) return false;
        bytes32[] memory leaves = new bytes32[](traceDigests.length);
        for (uint256 i = 0; i < leaves.length; ++i) {
            leaves[i] = _leaf(traceDigests[i]);
        }
        return MerkleProof.multiProofVerifyCalldata(proof, proofFlags, root, leaves);
    }

    function _tracesRoot(ISettlement.EpochContent calldata content, uint256 jobIndex) private view returns (bytes32) {
        ISettlement.Epoch memory epoch = settlement.epochOf(content.epoch);
        bool stands = epoch.status == ISettlement.Status.Pending || epoch.status == ISettlement.Status.Finalised;
        if (!stands || epoch.commitment != keccak256(abi.encode(content))) revert UnknownContent(content.epoch);
        if (jobIndex >= content.jobs.length) revert NoSuchJob(jobIndex);
        return content.jobs[jobIndex].tracesRoot;
    }

    function _leaf(bytes32 traceDigest) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(traceDigest))));
    }
}
