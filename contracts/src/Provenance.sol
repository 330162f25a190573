// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import { IDisputes } from "./interfaces/IDisputes.sol";
import { IProvenance } from "./interfaces/IProvenance.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";
import { LineSet } from "./libraries/LineSet.sol";

/// @title Provenance
/// @notice See {IProvenance}.
contract Provenance is IProvenance {
    using LineSet for uint64;

    /// @notice Where epochs are anchored.
    ISettlement public immutable settlement;
    /// @notice Where traces are judged.
    IDisputes public immutable disputes;
    /// @inheritdoc IProvenance
    mapping(address author => bytes32) public headOf;

    constructor(ISettlement settlement_, IDisputes disputes_) {
        settlement = settlement_;
        disputes = disputes_;
    }

    /// @inheritdoc IProvenance
    function state(Kind kind, bytes32 subject, bytes32 value) external returns (bytes32 head) {
        head = keccak256(abi.encode(headOf[msg.sender], kind, subject, value));
        headOf[msg.sender] = head;
        emit Stated(msg.sender, kind, subject, value, head);
    }

    /// @inheritdoc IProvenance
    function traceStatus(
        ISettlement.EpochContent calldata content,
        uint256 line,
        Trace calldata trace,
        bytes32[] calldata proof
    ) external view returns (Status) {
        (Status status, bytes32 root) = _anchored(content, line);
        if (!MerkleProof.verifyCalldata(proof, root, _leaf(trace.digest))) return Status.Unknown;
        return _judged(status, trace);
    }

    /// @inheritdoc IProvenance
    function traceStatuses(
        ISettlement.EpochContent calldata content,
        uint256 line,
        Trace[] calldata traces,
        bytes32[] calldata proof,
        bool[] calldata proofFlags
    ) external view returns (Status[] memory found) {
        (Status status, bytes32 root) = _anchored(content, line);
        found = new Status[](traces.length);
        bytes32[] memory leaves = new bytes32[](traces.length);
        for (uint256 i = 0; i < leaves.length; ++i) {
            leaves[i] = _leaf(traces[i].digest);
        }
        if (!MerkleProof.multiProofVerifyCalldata(proof, proofFlags, root, leaves)) return found;
        for (uint256 i = 0; i < leaves.length; ++i) {
            found[i] = _judged(status, traces[i]);
        }
    }

    /// @dev How the line stands, and the root of its traces; a root that nothing proves where there is none.
    function _anchored(ISettlement.EpochContent calldata content, uint256 line) private view returns (Status, bytes32) {
        ISettlement.Epoch memory epoch = settlement.epochOf(content.epoch);
        bool proposed = epoch.proposer != address(0) && epoch.commitment == keccak256(abi.encode(content));
        if (!proposed || line >= content.jobs.length) return (Status.Unknown, 0);
        bytes32 root = content.jobs[line].tracesRoot;
        if (epoch.paid.has(line)) return (Status.Finalised, root);
        if (epoch.rejected.has(line)) return (Status.Rejected, root);
        return (epoch.disputed.has(line) ? Status.Disputed : Status.Pending, root);
    }

    /// @dev A trace that was found wrong is so whatever becomes of its line.
    function _judged(Status status, Trace calldata trace) private view returns (Status) {
        IDisputes.Docket memory docket = disputes.traceDocket(trace.worker, trace.digest);
        if (docket.convicted) return Status.Convicted;
        return docket.open != 0 && status != Status.Rejected ? Status.Disputed : status;
    }

    function _leaf(bytes32 traceDigest) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(traceDigest))));
    }
}
