// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ISettlement } from "./ISettlement.sol";

/// @title IProvenance
/// @notice Where a trace, a data set or a checkpoint comes from.
/// @dev Traces are anchored by the settlement, at no cost of their own: an epoch's commitment covers the traces root,
/// the count and the policy digests of every job. Whoever asks hands in the epoch's content (it is in the event
/// EpochProposed) and the chain checks it. Statements about artefacts go into a rolling hash for each author, so that
/// one costs the same however many there are, and none can be left out or altered afterwards.
interface IProvenance {
    /// @notice What a statement says about its subject.
    /// Dataset, Checkpoint: the subject is an artefact; `value` is the root of its parents (traces roots, data sets,
    /// policies; StandardMerkleTree over (bytes32)). Licence: `value` is the digest of the licence. Withdrawal: the
    /// subject must not be used any more; `value` is the digest of the reason.
    enum Kind {
        Dataset,
        Checkpoint,
        Licence,
        Withdrawal
    }

    /// @notice An author stated something. `head` is the author's rolling hash after it.
    event Stated(address indexed author, Kind indexed kind, bytes32 indexed subject, bytes32 value, bytes32 head);

    /// @notice The content is not what was proposed under this number, or the epoch was rejected.
    error UnknownContent(uint256 epoch);
    /// @notice The content has no such job.
    error NoSuchJob(uint256 jobIndex);

    /// @notice States something about an artefact, a trace or a policy.
    /// @param kind See Kind.
    /// @param subject Digest of what it is about.
    /// @param value See Kind.
    /// @return head The caller's rolling hash: keccak256(previous head, kind, subject, value).
    function state(Kind kind, bytes32 subject, bytes32 value) external returns (bytes32 head);

    /// @notice Whether a trace is among those accepted in a job's epoch.
    /// @param content The epoch's content.
    /// @param jobIndex Which of its jobs.
    /// @param traceDigest The trace.
    /// @param proof Merkle proof of the leaf (bytes32 traceDigest).
    function verifyTrace(
        ISettlement.EpochContent calldata content,
        uint256 jobIndex,
        bytes32 traceDigest,
        bytes32[] calldata proof
    ) external view returns (bool);

    /// @notice Whether several traces are among those accepted in a job's epoch.
    /// @param content The epoch's content.
    /// @param jobIndex Which of its jobs.
    /// @param traceDigests The traces, in the order of the multi-proof; at least one.
    /// @param proof Multi-proof of OpenZeppelin's StandardMerkleTree.
    /// @param proofFlags Its flags.
    function verifyTraces(
        ISettlement.EpochContent calldata content,
        uint256 jobIndex,
        bytes32[] calldata traceDigests,
        bytes32[] calldata proof,
        bool[] calldata proofFlags
    ) external view returns (bool);

    /// @notice An author's rolling hash; zero before the first statement.
    function headOf(address author) external view returns (bytes32);
}
