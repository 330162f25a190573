// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { INodeRegistry } from "./interfaces/INodeRegistry.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";
import { EpochHash } from "./libraries/EpochHash.sol";
import { JobEscrow } from "./JobEscrow.sol";
import { Rewards } from "./Rewards.sol";
import { SettlerBonds } from "./SettlerBonds.sol";

/// @title Settlement
/// @notice See {ISettlement}.
/// @dev Makes its escrow and its rewards contract itself: nobody, not even the admin, can point either of them
/// at another settlement.
contract Settlement is ISettlement, SettlerBonds {
    /// @notice May propose epochs.
    bytes32 public constant SETTLER_ROLE = keccak256("SETTLER_ROLE");
    /// @notice May pause.
    bytes32 public constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");
    /// @notice Bounds what finalising one epoch can cost.
    uint256 public constant MAX_JOBS = 64;
    /// @notice Bounds what rejecting an epoch, with all those on top of it, can cost.
    uint256 public constant MAX_PENDING = 64;
    /// @notice Longest challenge window.
    uint256 public constant MAX_CHALLENGE_WINDOW = 30 days;
    /// @notice Longest pause, and the shortest time between two: nobody can stop settlement for ever.
    uint256 public constant MAX_PAUSE = 7 days;

    /// @notice Holds the jobs' money.
    JobEscrow public immutable escrow;
    /// @notice Pays the nodes.
    Rewards public immutable rewards;

    /// @dev One slot: the counters and the parameters that every proposal and finalisation reads. `stopped` is how long
    /// the clock stood still in all pauses before the last one, which began at `pausedFrom`. `paying` is the final
    /// epoch whose lines are not all paid yet, or zero.
    struct Queue {
        uint32 next;
        uint32 head;
        uint32 paying;
        uint40 challengeWindow;
        uint40 pausedFrom;
        uint40 pausedUntil;
        uint40 stopped;
    }

    Queue private _queue;
    /// @dev Status Finalised is never stored, see _statusOf.
    mapping(uint256 epoch => Epoch) private _epochs;

    /// @param admin Holds the admin role: the timelock, or the deployer until it hands over.
    /// @param challengeWindow_ Seconds.
    /// @param closeGrace Seconds between a job's close and its refund.
    /// @param capPeriod Seconds in which a job's cap refills.
    constructor(
        address admin,
        INodeRegistry registry_,
        uint256 challengeWindow_,
        uint256 closeGrace,
        uint256 capPeriod,
        BondTerms memory terms
    ) SettlerBonds(registry_, terms) {
        rewards = new Rewards();
        escrow = new JobEscrow(address(rewards), closeGrace, capPeriod);
        _queue.next = 1;
        _setChallengeWindow(challengeWindow_);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc ISettlement
    function proposeEpoch(EpochContent calldata content) external onlyRole(SETTLER_ROLE) {
        Queue memory queue = _queue;
        _requireRunning(queue);
        if (content.epoch != queue.next) revert WrongEpoch(content.epoch, queue.next);
        if (content.rewardsRoot == 0) revert ZeroRoot();
        if (content.jobs.length > MAX_JOBS) revert TooManyJobs(content.jobs.length);
        uint256 pending = queue.next - queue.head;
        if (pending > MAX_PENDING) revert TooManyPending(pending - 1);
        _requireFit(msg.sender);

        uint256 present = _clockOf(queue);
        uint40 finalisableAt = uint40(present + queue.challengeWindow);
        _queue.next = queue.next + 1;
        _epochs[content.epoch] = Epoch({
            commitment: EpochHash.hashOf(content),
            proposer: msg.sender,
            finalisableAt: finalisableAt,
            proposedBlock: uint32(block.number),
            disputes: 0,
            status: Status.Pending
        });
        emit EpochProposed(
            content.epoch, msg.sender, content.rewardsRoot, content.reportDigest, finalisableAt, content.jobs
        );
        _lockBond(content.epoch, msg.sender, _reserve(content.jobs, present));
    }

    /// @inheritdoc ISettlement
    function finaliseEpoch(EpochContent calldata content) external {
        _finalise(content, content.jobs.length);
    }

    /// @inheritdoc ISettlement
    function finaliseInParts(EpochContent calldata content, uint256 lines) external {
        _finalise(content, lines);
    }

    /// @inheritdoc ISettlement
    function unwindEpoch(EpochContent calldata content) external {
        Status status = _statusOf(content.epoch, _proposed(content).status, _queue.head);
        if (status != Status.Rejected) revert WrongStatus(content.epoch, status);
        _epochs[content.epoch].status = Status.Unwound;
        emit EpochUnwound(content.epoch);
        for (uint256 i = 0; i < content.jobs.length; ++i) {
            escrow.unreserve(content.jobs[i].jobId, content.jobs[i].amount);
        }
    }

    /// @inheritdoc ISettlement
    function freeze(uint256 number) external onlyRole(DISPUTES_ROLE) returns (address proposer, bytes32 commitment) {
        _requirePending(number);
        Epoch storage epoch = _epochs[number];
        emit EpochFrozen(number, ++epoch.disputes);
        return (epoch.proposer, epoch.commitment);
    }

    /// @inheritdoc ISettlement
    function unfreeze(uint256 number, bool wrong) external onlyRole(DISPUTES_ROLE) {
        Epoch storage epoch = _epochs[number];
        uint16 left = --epoch.disputes;
        emit EpochUnfrozen(number, left);
        if (wrong) _convict(number);
        else if (left == 0 && epoch.status != Status.Pending) _releaseBond(number, epoch.proposer);
    }

    /// @inheritdoc ISettlement
    function reject(uint256 number) external onlyRole(DISPUTES_ROLE) {
        _requirePending(number);
        _reject(number);
    }

    /// @inheritdoc ISettlement
    function convict(uint256 number) external onlyRole(DISPUTES_ROLE) {
        if (_epochs[number].status == Status.None) revert WrongStatus(number, Status.None);
        _convict(number);
    }

    /// @inheritdoc ISettlement
    function pause() external onlyRole(GUARDIAN_ROLE) {
        Queue storage queue = _queue;
        uint40 free = queue.pausedUntil;
        // The first pause has nothing to cool down from.
        if (free != 0 && block.timestamp < free + MAX_PAUSE) revert PauseCoolingDown(free + MAX_PAUSE);
        queue.stopped += free - queue.pausedFrom;
        queue.pausedFrom = uint40(block.timestamp);
        queue.pausedUntil = uint40(block.timestamp + MAX_PAUSE);
        emit Paused(msg.sender, block.timestamp + MAX_PAUSE);
    }

    /// @inheritdoc ISettlement
    function unpause() external {
        if (!hasRole(GUARDIAN_ROLE, msg.sender)) _checkRole(DEFAULT_ADMIN_ROLE);
        // Ending what has ended would move the clock.
        if (block.timestamp >= _queue.pausedUntil) revert NotPaused();
        _queue.pausedUntil = uint40(block.timestamp);
        emit Unpaused(msg.sender);
    }

    /// @inheritdoc ISettlement
    function setChallengeWindow(uint256 newChallengeWindow) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setChallengeWindow(newChallengeWindow);
    }

    /// @inheritdoc ISettlement
    function epochOf(uint256 number) external view returns (Epoch memory epoch) {
        epoch = _epochs[number];
        epoch.status = _statusOf(number, epoch.status, _queue.head);
    }

    /// @inheritdoc ISettlement
    function payingEpoch() external view returns (uint256) {
        return _queue.paying;
    }

    /// @inheritdoc ISettlement
    function nextEpoch() external view returns (uint256) {
        return _queue.next;
    }

    /// @inheritdoc ISettlement
    function challengeWindow() external view returns (uint256) {
        return _queue.challengeWindow;
    }

    /// @inheritdoc ISettlement
    function clock() external view returns (uint256) {
        return _clockOf(_queue);
    }

    /// @inheritdoc ISettlement
    function pausedUntil() external view returns (uint256) {
        return _queue.pausedUntil;
    }

    /// @inheritdoc ISettlement
    function commitmentOf(EpochContent calldata content) public pure returns (bytes32) {
        return EpochHash.hashOf(content);
    }

    /// @dev Marks an epoch as final the first time, and goes on paying its lines. Its root is published once all of
    /// them have been paid, and the next epoch waits for that: the root never promises money that was not sent.
    function _finalise(EpochContent calldata content, uint256 lines) private {
        Queue memory queue = _queue;
        _requireRunning(queue);
        if (queue.paying == 0) _makeFinal(content, queue);
        else if (queue.paying != content.epoch) revert LinesUnpaid(queue.paying);
        else _proposed(content);
        uint256 first = _stands[content.epoch].linesPaid;
        uint256 count = content.jobs.length;
        uint256 end = count - first > lines ? first + lines : count;
        if (end != count) _stands[content.epoch].linesPaid = uint8(end);
        for (uint256 i = first; i < end; ++i) {
            escrow.pay(content.jobs[i].jobId, content.jobs[i].amount);
        }
        if (end != count) return;
        _queue.paying = 0;
        rewards.publish(content.epoch, content.rewardsRoot);
    }

    function _makeFinal(EpochContent calldata content, Queue memory queue) private {
        Epoch memory epoch = _proposed(content);
        Status status = _statusOf(content.epoch, epoch.status, queue.head);
        if (status != Status.Pending) revert WrongStatus(content.epoch, status);
        if (_clockOf(queue) < epoch.finalisableAt) revert WindowOpen(epoch.finalisableAt);
        if (epoch.disputes != 0) revert EpochIsFrozen(content.epoch, epoch.disputes);
        uint256 next = _skipRejected(queue.head + 1);
        if (content.epoch != next) revert NotNext(content.epoch, next);
        // Stays set while lines are paid: a token that calls back finds no other epoch to make final meanwhile.
        (_queue.head, _queue.paying) = (uint32(content.epoch), uint32(content.epoch));
        emit EpochFinalised(content.epoch, content.rewardsRoot);
        _releaseBond(content.epoch, epoch.proposer);
    }

    /// @dev Strict order makes each job appear once. Returns what the bond is reckoned from.
    function _reserve(JobSettlement[] calldata jobs, uint256 present) private returns (uint256 worth) {
        bytes32 last = 0;
        for (uint256 i = 0; i < jobs.length; ++i) {
            JobSettlement calldata job = jobs[i];
            bytes32 jobId = job.jobId;
            if (jobId <= last) revert JobsNotSorted(jobId);
            last = jobId;
            address token = escrow.reserve(jobId, job.amount, present);
            worth += _worthOf(token, job.amount);
        }
    }

    /// @dev Also where the epoch fell with another one, or by a dispute without a verdict: that saves no thief his bond.
    function _convict(uint256 number) private {
        _forfeitBond(number, _epochs[number].proposer);
        if (_statusOf(number, _epochs[number].status, _queue.head) == Status.Pending) _reject(number);
    }

    function _reject(uint256 number) private {
        uint256 next = _queue.next;
        for (uint256 i = number; i < next; ++i) {
            Epoch storage epoch = _epochs[i];
            if (epoch.status != Status.Pending) continue;
            epoch.status = Status.Rejected;
            emit EpochRejected(i);
            if (epoch.disputes == 0) _releaseBond(i, epoch.proposer);
        }
        // With nothing left pending the queue counts as empty; else rejections in a row could fill it for good.
        if (_skipRejected(_queue.head + 1) == next) _queue.head = uint32(next - 1);
    }

    function _setChallengeWindow(uint256 challengeWindow_) private {
        if (challengeWindow_ == 0 || challengeWindow_ > MAX_CHALLENGE_WINDOW) revert ParameterOutOfBounds();
        _queue.challengeWindow = uint40(challengeWindow_);
        emit ChallengeWindowChanged(challengeWindow_);
    }

    function _proposed(EpochContent calldata content) private view returns (Epoch memory epoch) {
        epoch = _epochs[content.epoch];
        if (epoch.commitment != EpochHash.hashOf(content)) revert WrongContent(content.epoch);
    }

    function _requirePending(uint256 number) private view {
        Status status = _statusOf(number, _epochs[number].status, _queue.head);
        if (status != Status.Pending) revert WrongStatus(number, status);
    }

    /// @dev The head passes only epochs that became final or were rejected: what is still stored as pending behind it
    /// is final. That spares finalisation a write.
    function _statusOf(uint256 number, Status stored, uint256 head) private pure returns (Status) {
        return stored == Status.Pending && number <= head ? Status.Finalised : stored;
    }

    function _clockOf(Queue memory queue) private view returns (uint256) {
        uint256 present = block.timestamp < queue.pausedUntil ? block.timestamp : queue.pausedUntil;
        return block.timestamp - queue.stopped - (present - queue.pausedFrom);
    }

    function _skipRejected(uint256 from) private view returns (uint256 next) {
        next = from;
        while (_epochs[next].status == Status.Rejected || _epochs[next].status == Status.Unwound) ++next;
    }

    function _requireRunning(Queue memory queue) private view {
        if (block.timestamp < queue.pausedUntil) revert IsPaused(queue.pausedUntil);
    }
}
