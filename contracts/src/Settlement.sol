// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { IJobEscrow } from "./interfaces/IJobEscrow.sol";
import { INodeRegistry } from "./interfaces/INodeRegistry.sol";
import { IRewards } from "./interfaces/IRewards.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";
import { ISettlerBonds } from "./interfaces/ISettlerBonds.sol";
import { EpochHash } from "./libraries/EpochHash.sol";
import { LineSet } from "./libraries/LineSet.sol";
import { JobEscrow } from "./JobEscrow.sol";
import { Rewards } from "./Rewards.sol";
import { SettlementClock } from "./SettlementClock.sol";
import { SettlerBonds } from "./SettlerBonds.sol";

/// @title Settlement
/// @notice See {ISettlement}.
/// @dev Makes its escrow and its rewards contract itself: nobody, not even the admin, can point either of them
/// at another settlement. Whatever changes a line is guarded: a token that calls back while its line is paid finds
/// all of them shut.
contract Settlement is SettlementClock, SettlerBonds, ReentrancyGuardTransient {
    using LineSet for uint64;

    /// @notice May propose epochs.
    bytes32 public constant SETTLER_ROLE = keccak256("SETTLER_ROLE");
    /// @notice Bounds what paying or rejecting one epoch can cost.
    uint256 public constant MAX_JOBS = LineSet.SIZE;

    /// @dev The slot that proposals, payments and courts share. `waiting` are the lines that were neither paid nor
    /// rejected yet, nor refused by their token: those, and disputed ones, hold the bond. Once `bondFree`, it stays free.
    struct Progress {
        uint64 waiting;
        uint64 disputed;
        uint40 finalisableAt;
        uint32 proposedBlock;
        uint8 lines;
        bool bondFree;
    }

    /// @dev What most epochs never need. Lines that neither wait nor are in one of these sets are paid.
    struct Fallen {
        uint64 rejected;
        uint64 unwound;
        uint64 refused;
    }

    struct Record {
        bytes32 commitment;
        address proposer;
        uint96 bond;
        Progress progress;
        Fallen fallen;
    }

    /// @inheritdoc ISettlement
    IJobEscrow public immutable escrow;
    /// @inheritdoc ISettlement
    IRewards public immutable rewards;

    mapping(uint256 epoch => Record) private _epochs;
    /// @dev Open disputes of a line beyond the first one.
    mapping(uint256 epoch => mapping(uint256 line => uint256)) private _further;

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
    ) SettlementClock(challengeWindow_) SettlerBonds(registry_, terms) {
        rewards = new Rewards();
        escrow = new JobEscrow(address(rewards), closeGrace, capPeriod);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc ISettlement
    function proposeEpoch(EpochContent calldata content) external onlyRole(SETTLER_ROLE) {
        Times memory times = _times;
        _requireRunning(times);
        if (content.epoch != times.nextEpoch) revert WrongEpoch(content.epoch, times.nextEpoch);
        uint256 lines = content.jobs.length;
        if (lines == 0) revert NoJobs();
        if (lines > MAX_JOBS) revert TooManyJobs(lines);
        _requireFit(msg.sender);

        uint256 present = _clockOf(times);
        uint40 finalisableAt = uint40(present + times.challengeWindow);
        _times.nextEpoch = times.nextEpoch + 1;
        emit EpochProposed(content.epoch, msg.sender, finalisableAt, content.jobs);
        uint96 bond = _lockBond(msg.sender, _reserve(content.jobs, present));

        Record storage epoch = _epochs[content.epoch];
        epoch.commitment = EpochHash.hashOf(content);
        (epoch.proposer, epoch.bond) = (msg.sender, bond);
        epoch.progress = Progress({
            waiting: LineSet.first(lines),
            disputed: 0,
            finalisableAt: finalisableAt,
            proposedBlock: uint32(block.number),
            lines: uint8(lines),
            bondFree: false
        });
    }

    /// @inheritdoc ISettlement
    function finaliseEpoch(EpochContent calldata content) external nonReentrant {
        _finalise(content, type(uint64).max);
    }

    /// @inheritdoc ISettlement
    function finaliseLines(EpochContent calldata content, uint64 lines) external nonReentrant {
        _finalise(content, lines);
    }

    /// @inheritdoc ISettlement
    function unwindEpoch(EpochContent calldata content) external nonReentrant {
        Fallen storage fallen = _proposed(content).fallen;
        uint64 due = fallen.rejected & ~fallen.unwound;
        if (due == 0) revert NothingToUnwind(content.epoch);
        fallen.unwound |= due;
        for (uint256 line = 0; line < content.jobs.length; ++line) {
            if (!due.has(line)) continue;
            emit LineUnwound(content.epoch, line);
            escrow.unreserve(content.jobs[line].jobId, content.jobs[line].amount);
        }
    }

    /// @inheritdoc ISettlement
    function freeze(uint256 number, uint256 line)
        external
        onlyRole(DISPUTES_ROLE)
        nonReentrant
        returns (address proposer, bytes32 commitment)
    {
        Record storage epoch = _requirePending(number, line);
        uint64 disputed = epoch.progress.disputed;
        uint256 disputes = 1;
        if (disputed.has(line)) disputes += ++_further[number][line];
        else epoch.progress.disputed = disputed | LineSet.only(line);
        emit LineFrozen(number, line, disputes);
        return (epoch.proposer, epoch.commitment);
    }

    /// @inheritdoc ISettlement
    function unfreeze(uint256 number, uint256 line, bool wrong) external onlyRole(DISPUTES_ROLE) nonReentrant {
        Record storage epoch = _epochs[number];
        uint64 disputed = epoch.progress.disputed;
        if (!disputed.has(line)) revert LineIsNotFrozen(number, line);
        uint256 left = _further[number][line];
        if (left != 0) _further[number][line] = left - 1;
        else epoch.progress.disputed = disputed & ~LineSet.only(line);
        emit LineUnfrozen(number, line, left);
        if (wrong) _convict(number, epoch);
        else _freeBond(epoch, epoch.progress);
    }

    /// @inheritdoc ISettlement
    function reject(uint256 number, uint256 line) external onlyRole(DISPUTES_ROLE) nonReentrant {
        Record storage epoch = _requirePending(number, line);
        _reject(number, epoch, LineSet.only(line));
        _freeBond(epoch, epoch.progress);
    }

    /// @inheritdoc ISettlement
    function convict(uint256 number) external onlyRole(DISPUTES_ROLE) nonReentrant {
        Record storage epoch = _epochs[number];
        if (epoch.proposer == address(0)) revert UnknownEpoch(number);
        _convict(number, epoch);
    }

    /// @inheritdoc ISettlement
    function epochOf(uint256 number) external view returns (Epoch memory) {
        Record storage epoch = _epochs[number];
        Progress memory progress = epoch.progress;
        Fallen memory fallen = epoch.fallen;
        return Epoch({
            commitment: epoch.commitment,
            proposer: epoch.proposer,
            finalisableAt: progress.finalisableAt,
            proposedBlock: progress.proposedBlock,
            lines: progress.lines,
            paid: LineSet.first(progress.lines) & ~(progress.waiting | fallen.rejected | fallen.refused),
            rejected: fallen.rejected,
            unwound: fallen.unwound,
            disputed: progress.disputed
        });
    }

    /// @inheritdoc ISettlerBonds
    function bondOf(uint256 number) external view returns (uint256) {
        Record storage epoch = _epochs[number];
        return epoch.progress.bondFree ? 0 : epoch.bond;
    }

    /// @inheritdoc ISettlement
    function statusOf(uint256 number, uint256 line) external view returns (Status) {
        return _statusOf(_epochs[number], line);
    }

    /// @inheritdoc ISettlement
    function commitmentOf(EpochContent calldata content) public pure returns (bytes32) {
        return EpochHash.hashOf(content);
    }

    /// @dev The lines are marked, and the bond is freed, before any token is called. A refused line goes back to pending,
    /// but no longer holds the bond.
    function _finalise(EpochContent calldata content, uint64 wanted) private {
        Times memory times = _times;
        _requireRunning(times);
        Record storage epoch = _proposed(content);
        Progress memory progress = epoch.progress;
        if (_clockOf(times) < progress.finalisableAt) revert WindowOpen(progress.finalisableAt);
        wanted &= LineSet.first(progress.lines) & ~progress.disputed;
        uint64 due = wanted & progress.waiting;
        // Tried before: only looked up where such a line can be meant.
        uint64 again = due == wanted ? 0 : wanted & epoch.fallen.refused;
        if ((due | again) == 0) revert NothingToPay(content.epoch);
        if (again != 0) epoch.fallen.refused &= ~again;
        if (due != 0) {
            progress.waiting &= ~due;
            epoch.progress.waiting = progress.waiting;
            _freeBond(epoch, progress);
        }
        uint64 refused = _payLines(content, due | again);
        if (refused != 0) epoch.fallen.refused |= refused;
    }

    function _payLines(EpochContent calldata content, uint64 due) private returns (uint64 refused) {
        for (uint256 line = 0; line < content.jobs.length; ++line) {
            if (!due.has(line)) continue;
            JobSettlement calldata job = content.jobs[line];
            if (_payLine(content.epoch, job)) {
                emit LineFinalised(content.epoch, line, job.jobId);
            } else {
                emit LineRefused(content.epoch, line, job.jobId);
                refused |= LineSet.only(line);
            }
        }
    }

    function _payLine(uint256 number, JobSettlement calldata job) private returns (bool paid) {
        if (job.amount == 0) return true;
        address token;
        (paid, token) = escrow.pay(job.jobId, job.amount);
        if (paid) rewards.fund(number, job.jobId, job.rewardsRoot, token, job.amount);
    }

    /// @dev Strict order makes each job appear once. Returns what the bond is reckoned from.
    function _reserve(JobSettlement[] calldata jobs, uint256 present) private returns (uint256 worth) {
        bytes32 last = 0;
        for (uint256 i = 0; i < jobs.length; ++i) {
            JobSettlement calldata job = jobs[i];
            bytes32 jobId = job.jobId;
            if (jobId <= last) revert JobsNotSorted(jobId);
            if (job.rewardsRoot == 0 && job.amount != 0) revert ZeroRoot();
            last = jobId;
            address token = escrow.reserve(jobId, job.amount, present);
            worth += _worthOf(token, job.amount);
        }
    }

    /// @dev Also where all lines fell by a dispute without a verdict: that saves no thief his bond while another dispute
    /// is open.
    function _convict(uint256 number, Record storage epoch) private {
        _suspend(epoch.proposer);
        if (!epoch.progress.bondFree) {
            epoch.progress.bondFree = true;
            _burnBond(epoch.proposer, epoch.bond);
        }
        _reject(number, epoch, epoch.progress.waiting | epoch.fallen.refused);
    }

    function _reject(uint256 number, Record storage epoch, uint64 lines) private {
        if (lines == 0) return;
        epoch.progress.waiting &= ~lines;
        epoch.fallen.refused &= ~lines;
        epoch.fallen.rejected |= lines;
        for (uint256 line = 0; line < MAX_JOBS; ++line) {
            if (lines.has(line)) emit LineRejected(number, line);
        }
    }

    /// @dev Once no line waits or is disputed.
    function _freeBond(Record storage epoch, Progress memory progress) private {
        if (progress.bondFree || (progress.waiting | progress.disputed) != 0) return;
        epoch.progress.bondFree = true;
        _releaseBond(epoch.proposer, epoch.bond);
    }

    function _proposed(EpochContent calldata content) private view returns (Record storage epoch) {
        epoch = _epochs[content.epoch];
        if (epoch.commitment != EpochHash.hashOf(content)) revert WrongContent(content.epoch);
    }

    function _requirePending(uint256 number, uint256 line) private view returns (Record storage epoch) {
        epoch = _epochs[number];
        Status status = _statusOf(epoch, line);
        if (status != Status.Pending) revert WrongStatus(number, line, status);
    }

    function _statusOf(Record storage epoch, uint256 line) private view returns (Status) {
        if (line >= epoch.progress.lines) return Status.None;
        if (epoch.progress.waiting.has(line)) return Status.Pending;
        Fallen memory fallen = epoch.fallen;
        if (fallen.unwound.has(line)) return Status.Unwound;
        if (fallen.rejected.has(line)) return Status.Rejected;
        return fallen.refused.has(line) ? Status.Pending : Status.Finalised;
    }
}
