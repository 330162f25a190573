// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ISettlerBonds } from "./ISettlerBonds.sol";

/// @title ISettlement
/// @notice Turns epochs of work into money: proposed, open to challenge for a window, then final.
/// @dev Epochs are numbered from 1 and become final in order. A number is used once: a rejected epoch keeps its
/// number and the work is proposed anew under the next one. Rewards are cumulative, so rejecting an epoch
/// rejects those proposed on top of it.
interface ISettlement is ISettlerBonds {
    /// @notice What happened in one job during the epoch.
    /// @param jobId The job.
    /// @param amount What the epoch takes from the job's escrow, in the smallest unit of the job's token.
    /// @param tracesRoot Root of the StandardMerkleTree over (bytes32 traceDigest) of the accepted traces.
    /// @param traceCount Number of accepted traces.
    /// @param parentPolicy Digest of the policy that the epoch started from.
    /// @param newPolicy Digest of the policy that it ended with.
    struct JobSettlement {
        bytes32 jobId;
        uint256 amount;
        bytes32 tracesRoot;
        uint256 traceCount;
        bytes32 parentPolicy;
        bytes32 newPolicy;
    }

    /// @notice All that an epoch says. The chain keeps its hash; the event that announces it keeps its text.
    /// @param epoch Number, from 1.
    /// @param rewardsRoot Root of the StandardMerkleTree over (address token, address account, uint256 cumulative).
    /// @param reportDigest Digest of the public settlement report.
    /// @param jobs In strictly ascending order of job id.
    struct EpochContent {
        uint256 epoch;
        bytes32 rewardsRoot;
        bytes32 reportDigest;
        JobSettlement[] jobs;
    }

    /// @notice The life of an epoch: Pending, then Finalised, or Rejected and then Unwound (its reserves freed).
    enum Status {
        None,
        Pending,
        Finalised,
        Rejected,
        Unwound
    }

    /// @notice What the chain keeps of an epoch.
    /// @param commitment keccak256(abi.encode(EpochContent)): pins all of it, the rewards root included.
    /// @param proposer Who proposed it and answers for it with his stake.
    /// @param finalisableAt Time of {clock} from which it may become final.
    /// @param proposedBlock Block of the proposal, where its event is.
    /// @param disputes Number of open disputes; while there is one, the epoch is frozen.
    /// @param status See Status.
    struct Epoch {
        bytes32 commitment;
        address proposer;
        uint40 finalisableAt;
        uint32 proposedBlock;
        uint16 disputes;
        Status status;
    }

    /// @notice An epoch was proposed; carries all of its text.
    event EpochProposed(
        uint256 indexed epoch,
        address indexed proposer,
        bytes32 rewardsRoot,
        bytes32 reportDigest,
        uint256 finalisableAt,
        JobSettlement[] jobs
    );
    /// @notice An epoch is final; its root pays.
    event EpochFinalised(uint256 indexed epoch, bytes32 rewardsRoot);
    /// @notice An epoch was found wrong, or stands on one that was.
    event EpochRejected(uint256 indexed epoch);
    /// @notice A rejected epoch's reserves went back to its jobs.
    event EpochUnwound(uint256 indexed epoch);
    /// @notice A dispute holds the epoch.
    event EpochFrozen(uint256 indexed epoch, uint256 disputes);
    /// @notice A dispute lets go of the epoch.
    event EpochUnfrozen(uint256 indexed epoch, uint256 disputes);
    /// @notice The guardian stopped settlement until a time.
    event Paused(address indexed guardian, uint256 until);
    /// @notice Settlement goes on.
    event Unpaused(address indexed by);
    /// @notice The challenge window changed, for epochs proposed from now on.
    event ChallengeWindowChanged(uint256 challengeWindow);

    /// @notice Epochs come one after the other.
    error WrongEpoch(uint256 epoch, uint256 expected);
    /// @notice A root must not be zero.
    error ZeroRoot();
    /// @notice Jobs must be in strictly ascending order of id, each once.
    error JobsNotSorted(bytes32 jobId);
    /// @notice An epoch settles at most MAX_JOBS jobs.
    error TooManyJobs(uint256 count);
    /// @notice Too many epochs are pending; finalise some first.
    error TooManyPending(uint256 pending);
    /// @notice The content is not what was proposed under this number.
    error WrongContent(uint256 epoch);
    /// @notice The epoch is not in the state that this needs.
    error WrongStatus(uint256 epoch, Status status);
    /// @notice The challenge window is open.
    error WindowOpen(uint256 finalisableAt);
    /// @notice A dispute is open on the epoch.
    error EpochIsFrozen(uint256 epoch, uint256 disputes);
    /// @notice An earlier epoch must become final or be rejected first.
    error NotNext(uint256 epoch, uint256 next);
    /// @notice The lines of an earlier epoch must be paid first.
    error LinesUnpaid(uint256 epoch);
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

    /// @notice Makes an epoch final once its window is over: pays the rewards contract, publishes the root. Or pays what
    /// {finaliseInParts} left of it.
    /// @param content As proposed.
    function finaliseEpoch(EpochContent calldata content) external;

    /// @notice The same, but pays so many lines at most: tokens that burn all gas they get could make a whole epoch too
    /// dear for one transaction. Call again until all are paid; then the root is published.
    /// @param content As proposed.
    /// @param lines How many lines to pay now.
    function finaliseInParts(EpochContent calldata content, uint256 lines) external;

    /// @notice Gives a rejected epoch's reserves back to its jobs. Anyone may call.
    /// @param content As proposed.
    function unwindEpoch(EpochContent calldata content) external;

    /// @notice Holds a pending epoch. Only for the disputes contract, at any time before the epoch is final.
    /// @param epoch Its number.
    /// @return proposer Who answers for it.
    /// @return commitment Hash of its content.
    function freeze(uint256 epoch) external returns (address proposer, bytes32 commitment);

    /// @notice Lets go of an epoch. Only for the disputes contract.
    /// @param epoch Its number.
    /// @param wrong Whether it was found wrong: then its proposer is convicted, see {convict}.
    function unfreeze(uint256 epoch, bool wrong) external;

    /// @notice Rejects a pending epoch and all after it, without fault: nobody judged it. Only for the courts.
    function reject(uint256 epoch) external;

    /// @notice Convicts an epoch's proposer: he is suspended, the epoch's bond is burned if it is still locked, and the
    /// epoch is rejected if it is still pending. Only for the courts.
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

    /// @notice The final epoch whose lines are not all paid yet; 0 if there is none.
    function payingEpoch() external view returns (uint256);

    /// @notice The number that the next proposal must have.
    function nextEpoch() external view returns (uint256);

    /// @notice Seconds of {clock} before an epoch may become final. It can be challenged until it is.
    function challengeWindow() external view returns (uint256);

    /// @notice Unix time less all seconds that settlement was stopped for: stands still in pauses. Deadlines of
    /// settlement, escrow and disputes run on it, so that a pause takes nobody's time to act.
    function clock() external view returns (uint256);

    /// @notice Second until which settlement is stopped; in the past if it is not.
    function pausedUntil() external view returns (uint256);

    /// @notice The hash that the chain keeps of a content.
    function commitmentOf(EpochContent calldata content) external pure returns (bytes32);
}
