// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "./IJobEscrow.sol";
import { IRewards } from "./IRewards.sol";
import { ISettlerBonds } from "./ISettlerBonds.sol";

/// @title ISettlement
/// @notice Turns epochs of work into money: proposed, open to challenge for a window, then paid.
/// @dev An epoch has a line for each of its jobs, with a rewards root and an amount of its own: a line pays no more than
/// its amount, once, and nothing that befalls one line touches another's money. Epochs are numbered from 1 and do not
/// wait for one another. A number is used once: the work of a rejected line is proposed anew in a later epoch.
interface ISettlement is ISettlerBonds {
    /// @notice A line: what happened in one job during the epoch.
    /// @param jobId The job.
    /// @param amount What the line takes from the job's escrow, in the smallest unit of the job's token.
    /// @param rewardsRoot Root of the StandardMerkleTree over (uint256 index, address account, uint256 amount); may be zero
    /// where the amount is.
    /// @param reportDigest Digest of the line's public report.
    /// @param tracesRoot Root of the StandardMerkleTree over (bytes32 traceDigest) of the accepted traces.
    /// @param traceCount Number of accepted traces.
    /// @param parentPolicy Digest of the policy that the epoch started from.
    /// @param newPolicy Digest of the policy that it ended with.
    struct JobSettlement {
        bytes32 jobId;
        uint256 amount;
        bytes32 rewardsRoot;
        bytes32 reportDigest;
        bytes32 tracesRoot;
        uint256 traceCount;
        bytes32 parentPolicy;
        bytes32 newPolicy;
    }

    /// @notice All that an epoch says. The chain keeps its hash; the event that announces it keeps its text.
    /// @param epoch Number, from 1.
    /// @param jobs The lines, in strictly ascending order of job id; a line's number is its place here, from 0.
    struct EpochContent {
        uint256 epoch;
        JobSettlement[] jobs;
    }

    /// @notice The life of a line: Pending, then Finalised (paid), or Rejected and then Unwound (its reserve freed).
    enum Status {
        None,
        Pending,
        Finalised,
        Rejected,
        Unwound
    }

    /// @notice What the chain keeps of an epoch. In the sets of lines, bit n stands for line n.
    /// @param commitment keccak256(abi.encode(EpochContent)): pins all of it, the rewards roots included.
    /// @param proposer Who proposed it and answers for it with his stake.
    /// @param finalisableAt Time of {clock} from which its lines may be paid.
    /// @param proposedBlock Block of the proposal, where its event is.
    /// @param lines Number of lines.
    /// @param paid Lines that are Finalised.
    /// @param rejected Lines that are Rejected or Unwound.
    /// @param unwound Lines that are Unwound.
    /// @param disputed Lines on which a dispute is open.
    struct Epoch {
        bytes32 commitment;
        address proposer;
        uint40 finalisableAt;
        uint32 proposedBlock;
        uint8 lines;
        uint64 paid;
        uint64 rejected;
        uint64 unwound;
        uint64 disputed;
    }

    /// @notice An epoch was proposed; carries all of its text.
    event EpochProposed(uint256 indexed epoch, address indexed proposer, uint256 finalisableAt, JobSettlement[] jobs);
    /// @notice A line is paid: its rewards can be claimed.
    event LineFinalised(uint256 indexed epoch, uint256 line, bytes32 indexed jobId);
    /// @notice The job's token refused to move the line's money. The line stays pending; anyone may try again.
    event LineRefused(uint256 indexed epoch, uint256 line, bytes32 indexed jobId);
    /// @notice A line was found wrong, or nobody judged it, or its epoch's proposer was convicted before it was paid.
    event LineRejected(uint256 indexed epoch, uint256 line);
    /// @notice A rejected line's reserve went back to its job.
    event LineUnwound(uint256 indexed epoch, uint256 line);
    /// @notice A dispute holds the line.
    event LineFrozen(uint256 indexed epoch, uint256 line, uint256 disputes);
    /// @notice A dispute lets go of the line.
    event LineUnfrozen(uint256 indexed epoch, uint256 line, uint256 disputes);
    /// @notice The guardian stopped settlement until a time.
    event Paused(address indexed guardian, uint256 until);
    /// @notice Settlement goes on.
    event Unpaused(address indexed by);
    /// @notice The challenge window changed, for epochs proposed from now on.
    event ChallengeWindowChanged(uint256 challengeWindow);

    /// @notice Epochs are numbered one after the other.
    error WrongEpoch(uint256 epoch, uint256 expected);
    /// @notice A line that takes money must say whose it is.
    error ZeroRoot();
    /// @notice Jobs must be in strictly ascending order of id, each once.
    error JobsNotSorted(bytes32 jobId);
    /// @notice An epoch has a line at least.
    error NoJobs();
    /// @notice An epoch has at most MAX_JOBS lines.
    error TooManyJobs(uint256 count);
    /// @notice The content is not what was proposed under this number.
    error WrongContent(uint256 epoch);
    /// @notice Nothing was proposed under this number.
    error UnknownEpoch(uint256 epoch);
    /// @notice The line is not in the state that this needs.
    error WrongStatus(uint256 epoch, uint256 line, Status status);
    /// @notice No dispute holds the line.
    error LineIsNotFrozen(uint256 epoch, uint256 line);
    /// @notice The challenge window is open.
    error WindowOpen(uint256 finalisableAt);
    /// @notice None of these lines can be paid: each is paid already, rejected, or disputed.
    error NothingToPay(uint256 epoch);
    /// @notice No rejected line's reserve is left to give back.
    error NothingToUnwind(uint256 epoch);
    /// @notice The guardian has stopped settlement.
    error IsPaused(uint256 until);
    /// @notice Settlement is not stopped.
    error NotPaused();
    /// @notice The guardian may not pause again so soon.
    error PauseCoolingDown(uint256 until);

    /// @notice Proposes the next epoch, reserves its money, and locks the settler's bond. Only for a settler with a
    /// stake and without a conviction, and only while there are jurors enough.
    /// @param content What happened; `content.epoch` must be {nextEpoch}.
    function proposeEpoch(EpochContent calldata content) external;

    /// @notice Pays every line that may be paid, once the epoch's window is over, into a pot of its own. Passes over those
    /// that are paid, rejected or disputed. A line whose token refuses stays pending, to be tried again. Anyone may call.
    /// @param content As proposed.
    function finaliseEpoch(EpochContent calldata content) external;

    /// @notice The same for some lines: tokens that burn all gas they get could make a whole epoch too dear for one
    /// transaction.
    /// @param content As proposed.
    /// @param lines Which lines; bit n stands for line n.
    function finaliseLines(EpochContent calldata content, uint64 lines) external;

    /// @notice Gives the reserves of rejected lines back to their jobs. Anyone may call.
    /// @param content As proposed.
    function unwindEpoch(EpochContent calldata content) external;

    /// @notice Holds a pending line. Only for the courts, at any time before the line is paid.
    /// @param epoch Number of the epoch.
    /// @param line Number of the line.
    /// @return proposer Who answers for it.
    /// @return commitment Hash of the epoch's content.
    function freeze(uint256 epoch, uint256 line) external returns (address proposer, bytes32 commitment);

    /// @notice Ends one hold on a line. Only for the courts.
    /// @param epoch Number of the epoch.
    /// @param line Number of the line.
    /// @param wrong Whether it was found wrong: then the proposer is convicted, see {convict}.
    function unfreeze(uint256 epoch, uint256 line, bool wrong) external;

    /// @notice Rejects a pending line without fault: nobody judged it. Only for the courts.
    function reject(uint256 epoch, uint256 line) external;

    /// @notice Convicts an epoch's proposer: he is suspended, the epoch's bond is burned if it is still locked, and all
    /// lines that are not paid are rejected. Only for the courts.
    function convict(uint256 epoch) external;

    /// @notice Stops proposals, finalisation and {clock} for MAX_PAUSE at most. Only for the guardian. Claims go on.
    function pause() external;

    /// @notice Ends a pause early. For the guardian and the timelock.
    function unpause() external;

    /// @notice Sets the challenge window of future epochs. Only for the timelock.
    /// @param newChallengeWindow Seconds; above 0, at most 30 days.
    function setChallengeWindow(uint256 newChallengeWindow) external;

    /// @notice What the chain keeps of an epoch.
    function epochOf(uint256 epoch) external view returns (Epoch memory);

    /// @notice How a line stands; None where there is no such line.
    function statusOf(uint256 epoch, uint256 line) external view returns (Status);

    /// @notice Holds the jobs' money.
    function escrow() external view returns (IJobEscrow);

    /// @notice Pays the nodes.
    function rewards() external view returns (IRewards);

    /// @notice The number that the next proposal must have.
    function nextEpoch() external view returns (uint256);

    /// @notice Seconds of {clock} before an epoch's lines may be paid. A line can be challenged until it is.
    function challengeWindow() external view returns (uint256);

    /// @notice Unix time less all seconds that settlement was stopped for: stands still in pauses. Deadlines of
    /// settlement, escrow and disputes run on it, so that a pause takes nobody's time to act.
    function clock() external view returns (uint256);

    /// @notice Second until which settlement is stopped; in the past if it is not.
    function pausedUntil() external view returns (uint256);

    /// @notice The hash that the chain keeps of a content.
    function commitmentOf(EpochContent calldata content) external pure returns (bytes32);
}
