// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IProvenance } from "./IProvenance.sol";
import { ISettlement } from "./ISettlement.sol";

/// @title IRestitution
/// @notice Keeps the pay of a line from whoever answers for a trace in it that stands accused, and gives it back to the
/// job once the trace is convicted.
/// @dev Anyone may call, with proofs that the trace and the leaf are in one line. All of the leaf is held or forfeited:
/// what one trace of it earned the chain does not know. What was claimed before is gone; the court's slash is for that.
interface IRestitution {
    /// @notice What an account gets of a line: (index, account, amount), as in {IRewards}.
    struct Leaf {
        uint256 index;
        address account;
        uint256 amount;
    }

    /// @notice A leaf is held because of a trace.
    event Held(uint256 indexed epoch, bytes32 indexed jobId, address indexed account, bytes32 traceDigest);
    /// @notice A leaf is no longer held because of this trace.
    event Released(uint256 indexed epoch, bytes32 indexed jobId, address indexed account, bytes32 traceDigest);
    /// @notice A leaf's amount went back to the job because of a trace.
    event Forfeited(
        uint256 indexed epoch, bytes32 indexed jobId, address indexed account, bytes32 traceDigest, uint256 amount
    );

    /// @notice This content was not proposed, the trace is not in the line, or the line was rejected.
    error TraceNotInLine(bytes32 traceDigest);
    /// @notice The leaf is not in the line's rewards.
    error LeafNotInLine(uint256 index);
    /// @notice Another account answers for the trace's worker.
    error NotAccountable(address worker, address account);
    /// @notice Nobody accuses the trace, and it was not convicted.
    error TraceNotAccused(bytes32 traceDigest);
    /// @notice The trace stands accused, or was convicted.
    error TraceNotCleared(bytes32 traceDigest);
    /// @notice The trace was not convicted.
    error TraceNotConvicted(bytes32 traceDigest);
    /// @notice The leaf is held because of this trace already.
    error AlreadyHeld(uint256 index, bytes32 traceDigest);
    /// @notice The leaf is not held because of this trace.
    error NotHeld(uint256 index, bytes32 traceDigest);

    /// @notice Holds a leaf while a trace of its account's worker stands accused, and after its conviction. Works before
    /// the line is paid as well, so that nobody is paid in between.
    /// @param content The epoch's content.
    /// @param line Number of the line.
    /// @param trace The trace.
    /// @param traceProof Merkle proof of the trace in the line's traces.
    /// @param leaf The leaf.
    /// @param leafProof Merkle proof of the leaf in the line's rewards.
    function hold(
        ISettlement.EpochContent calldata content,
        uint256 line,
        IProvenance.Trace calldata trace,
        bytes32[] calldata traceProof,
        Leaf calldata leaf,
        bytes32[] calldata leafProof
    ) external;

    /// @notice Ends the hold of this trace on a leaf, once the trace is neither accused nor convicted. Another trace's
    /// hold goes on. Parameters as in {hold}.
    function release(
        ISettlement.EpochContent calldata content,
        uint256 line,
        IProvenance.Trace calldata trace,
        bytes32[] calldata traceProof,
        Leaf calldata leaf,
        bytes32[] calldata leafProof
    ) external;

    /// @notice Gives a leaf's amount back to the job, once the trace is convicted and the line is paid. Parameters as in
    /// {hold}; the leaf need not be held.
    /// @return amount What went back; 0 if the leaf was claimed before.
    function forfeit(
        ISettlement.EpochContent calldata content,
        uint256 line,
        IProvenance.Trace calldata trace,
        bytes32[] calldata traceProof,
        Leaf calldata leaf,
        bytes32[] calldata leafProof
    ) external returns (uint256 amount);

    /// @notice How many traces hold a leaf of a rewards root.
    function holdsOn(uint256 epoch, bytes32 jobId, bytes32 root, uint256 index) external view returns (uint256);
}
