// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "./interfaces/IDisputes.sol";
import { INodeRegistry } from "./interfaces/INodeRegistry.sol";
import { IProvenance } from "./interfaces/IProvenance.sol";
import { IRestitution } from "./interfaces/IRestitution.sol";
import { IRewards } from "./interfaces/IRewards.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";
import { MerklePath } from "./libraries/MerklePath.sol";
import { Provenance } from "./Provenance.sol";
import { Settlement } from "./Settlement.sol";

/// @title Restitution
/// @notice See {IRestitution}.
contract Restitution is IRestitution {
    /// @dev What the proofs have shown.
    struct Case {
        uint256 epoch;
        bytes32 jobId;
        bytes32 root;
        bytes32 leafKey;
        bytes32 holdKey;
        bool open;
        bool convicted;
    }

    /// @notice Pays the nodes.
    IRewards public immutable rewards;
    /// @notice Knows who answers for a worker.
    INodeRegistry public immutable registry;
    /// @notice Proves that a trace was counted.
    IProvenance public immutable provenance;
    /// @notice Where traces are judged.
    IDisputes public immutable disputes;

    /// @dev By (epoch, job, root, index), and by that with the trace. A hold is its trace's alone: else an innocent trace
    /// of the same account would set free what a guilty one holds.
    mapping(bytes32 leafKey => uint256) private _holds;
    mapping(bytes32 holdKey => bool) private _held;

    constructor(Settlement settlement, Provenance provenance_) {
        rewards = settlement.rewards();
        registry = settlement.registry();
        provenance = provenance_;
        disputes = provenance_.disputes();
    }

    /// @inheritdoc IRestitution
    function hold(
        ISettlement.EpochContent calldata content,
        uint256 line,
        IProvenance.Trace calldata trace,
        bytes32[] calldata traceProof,
        Leaf calldata leaf,
        bytes32[] calldata leafProof
    ) external {
        Case memory found = _prove(content, line, trace, traceProof, leaf, leafProof);
        if (!found.open && !found.convicted) revert TraceNotAccused(trace.digest);
        if (_held[found.holdKey]) revert AlreadyHeld(leaf.index, trace.digest);
        _requireAccountable(trace.worker, leaf.account);
        _held[found.holdKey] = true;
        emit Held(found.epoch, found.jobId, leaf.account, trace.digest);
        if (++_holds[found.leafKey] == 1) rewards.hold(found.epoch, found.jobId, found.root, leaf.index);
    }

    /// @inheritdoc IRestitution
    /// @dev Whoever answers for the worker by now.
    function release(
        ISettlement.EpochContent calldata content,
        uint256 line,
        IProvenance.Trace calldata trace,
        bytes32[] calldata traceProof,
        Leaf calldata leaf,
        bytes32[] calldata leafProof
    ) external {
        Case memory found = _prove(content, line, trace, traceProof, leaf, leafProof);
        if (found.open || found.convicted) revert TraceNotCleared(trace.digest);
        if (!_held[found.holdKey]) revert NotHeld(leaf.index, trace.digest);
        _held[found.holdKey] = false;
        emit Released(found.epoch, found.jobId, leaf.account, trace.digest);
        if (--_holds[found.leafKey] == 0) rewards.release(found.epoch, found.jobId, found.root, leaf.index);
    }

    /// @inheritdoc IRestitution
    /// @dev Who held the leaf has shown before that its account answers for the worker; that may have changed since.
    function forfeit(
        ISettlement.EpochContent calldata content,
        uint256 line,
        IProvenance.Trace calldata trace,
        bytes32[] calldata traceProof,
        Leaf calldata leaf,
        bytes32[] calldata leafProof
    ) external returns (uint256 amount) {
        Case memory found = _prove(content, line, trace, traceProof, leaf, leafProof);
        if (!found.convicted) revert TraceNotConvicted(trace.digest);
        if (!_held[found.holdKey]) _requireAccountable(trace.worker, leaf.account);
        amount = rewards.forfeit(
            IRewards.Claim(found.epoch, found.jobId, leaf.index, leaf.account, leaf.amount, leafProof)
        );
        if (amount != 0) emit Forfeited(found.epoch, found.jobId, leaf.account, trace.digest, amount);
    }

    /// @inheritdoc IRestitution
    function holdsOn(uint256 epoch, bytes32 jobId, bytes32 root, uint256 index) external view returns (uint256) {
        return _holds[_leafKey(epoch, jobId, root, index)];
    }

    /// @dev That the trace and the leaf are in the line. A rejected line pays nobody.
    function _prove(
        ISettlement.EpochContent calldata content,
        uint256 line,
        IProvenance.Trace calldata trace,
        bytes32[] calldata traceProof,
        Leaf calldata leaf,
        bytes32[] calldata leafProof
    ) private view returns (Case memory found) {
        IProvenance.Status status = provenance.traceStatus(content, line, trace, traceProof);
        if (status == IProvenance.Status.Unknown || status == IProvenance.Status.Rejected) {
            revert TraceNotInLine(trace.digest);
        }
        ISettlement.JobSettlement calldata job = content.jobs[line];
        bytes32 node = MerklePath.rewardLeaf(leaf.index, leaf.account, leaf.amount);
        if (MerklePath.rootOf(leafProof, node) != job.rewardsRoot) revert LeafNotInLine(leaf.index);
        (found.epoch, found.jobId, found.root) = (content.epoch, job.jobId, job.rewardsRoot);
        found.leafKey = _leafKey(content.epoch, job.jobId, job.rewardsRoot, leaf.index);
        found.holdKey = keccak256(abi.encode(found.leafKey, trace.worker, trace.digest));
        IDisputes.Docket memory docket = disputes.traceDocket(trace.worker, trace.digest);
        (found.open, found.convicted) = (docket.open != 0, docket.convicted);
    }

    function _requireAccountable(address worker, address account) private view {
        if (registry.accountableFor(worker) != account) revert NotAccountable(worker, account);
    }

    function _leafKey(uint256 epoch, bytes32 jobId, bytes32 root, uint256 index) private pure returns (bytes32) {
        return keccak256(abi.encode(epoch, jobId, root, index));
    }
}
