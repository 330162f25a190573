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

    /// @notice What the chain knows of a trace in a line.
    /// Unknown: this content was not proposed, or its line does not hold the trace. Pending: accepted, while the line may
    /// still be found wrong. Finalised: accepted, and the line paid. Rejected: the line was, or its epoch's proposer was
    /// convicted before it was paid. Disputed: the trace, or its line, stands accused. Convicted: the trace was found wrong.
    enum Status {
        Unknown,
        Pending,
        Finalised,
        Rejected,
        Disputed,
        Convicted
    }

    /// @notice A trace, by its digest, and the worker that the trace itself names: whoever has the trace knows both.
    struct Trace {
        bytes32 digest;
        address worker;
    }

    /// @notice An author stated something. `head` is the author's rolling hash after it.
    event Stated(address indexed author, Kind indexed kind, bytes32 indexed subject, bytes32 value, bytes32 head);

    /// @notice States something about an artefact, a trace or a policy.
    /// @param kind See Kind.
    /// @param subject Digest of what it is about.
    /// @param value See Kind.
    /// @return head The caller's rolling hash: keccak256(previous head, kind, subject, value).
    function state(Kind kind, bytes32 subject, bytes32 value) external returns (bytes32 head);

    /// @notice What the chain knows of a trace in a line.
    /// @dev Only under its own worker's name does a conviction show: a trace names its worker, so that another one who
    /// signs for it and is convicted does not taint it.
    /// @param content The epoch's content.
    /// @param line Which of its lines.
    /// @param trace The trace.
    /// @param proof Merkle proof of the leaf (bytes32 digest).
    function traceStatus(
        ISettlement.EpochContent calldata content,
        uint256 line,
        Trace calldata trace,
        bytes32[] calldata proof
    ) external view returns (Status);

    /// @notice The same for several traces at once. If the proof does not hold for all of them, all are Unknown.
    /// @param content The epoch's content.
    /// @param line Which of its lines.
    /// @param traces The traces, in the order of the multi-proof.
    /// @param proof Multi-proof of OpenZeppelin's StandardMerkleTree.
    /// @param proofFlags Its flags.
    function traceStatuses(
        ISettlement.EpochContent calldata content,
        uint256 line,
        Trace[] calldata traces,
        bytes32[] calldata proof,
        bool[] calldata proofFlags
    ) external view returns (Status[] memory);

    /// @notice An author's rolling hash; zero before the first statement.
    function headOf(address author) external view returns (bytes32);
}
