// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { AccessControl } from "@openzeppelin/contracts/access/AccessControl.sol";
import { Checkpoints } from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import { IDisputes } from "./interfaces/IDisputes.sol";

/// @title DisputeBook
/// @notice The records of disputes, the ballots of their jurors, and the parameters. See {IDisputes}.
abstract contract DisputeBook is IDisputes, AccessControl {
    using Checkpoints for Checkpoints.Trace160;

    /// @notice Longest period of any step.
    uint256 public constant MAX_PERIOD = 14 days;
    /// @notice Largest committee of a first round.
    uint256 public constant MAX_COMMITTEE = 15;

    /// @dev Two slots when a dispute opens, the third when it is answered. The bond is not kept here, see _bondOf.
    /// Settlement counts epochs one by one, so their numbers never reach 32 bits; nor do those of disputes.
    struct Record {
        address challenger;
        uint40 deadline;
        Phase phase;
        Verdict verdict;
        uint8 round;
        uint32 epoch;
        address accused;
        uint96 atRisk;
        uint96 appealBond;
        uint48 drawBlock;
        uint40 revealUntil;
    }

    /// @dev All that opening a dispute reads and counts, in one slot.
    struct Opening {
        uint96 bond;
        uint96 penalty;
        uint32 answerPeriod;
        uint32 count;
    }

    /// @dev The other parameters, in another.
    struct Steps {
        uint96 jurorStake;
        uint32 commitPeriod;
        uint32 revealPeriod;
        uint32 appealPeriod;
        uint8 committeeSize;
    }

    Opening internal _opening;
    Steps internal _steps;
    /// @dev The bond from each dispute on: it is the same for all disputes between two changes of the parameters.
    Checkpoints.Trace160 private _bonds;
    mapping(uint256 disputeId => Record) internal _disputes;
    mapping(uint256 disputeId => mapping(uint256 round => address[])) internal _committees;
    mapping(uint256 disputeId => mapping(uint256 round => mapping(address juror => Ballot))) internal _ballots;
    mapping(bytes32 submission => bool) private _tried;

    constructor(address admin, Parameters memory given) {
        _setParameters(given);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc IDisputes
    function commit(uint256 disputeId, bytes32 commitment) external {
        Record storage dispute = _in(disputeId, Phase.Voting);
        if (block.timestamp >= dispute.deadline) revert TooLate(dispute.deadline);
        Ballot storage ballot = _ballotOf(disputeId, dispute.round);
        if (ballot.commitment != 0) revert AlreadyVoted(disputeId, msg.sender);
        ballot.commitment = commitment;
        emit VoteCommitted(disputeId, msg.sender);
    }

    /// @inheritdoc IDisputes
    function reveal(uint256 disputeId, Verdict vote, bytes32 salt) external {
        Record storage dispute = _in(disputeId, Phase.Voting);
        if (block.timestamp < dispute.deadline) revert TooEarly(dispute.deadline);
        if (block.timestamp >= dispute.revealUntil) revert TooLate(dispute.revealUntil);
        if (vote == Verdict.None) revert InvalidVote();
        Ballot storage ballot = _ballotOf(disputeId, dispute.round);
        if (ballot.vote != Verdict.None) revert AlreadyVoted(disputeId, msg.sender);
        if (ballot.commitment != commitmentOf(disputeId, dispute.round, msg.sender, vote, salt)) {
            revert WrongReveal(disputeId, msg.sender);
        }
        ballot.vote = vote;
        emit VoteRevealed(disputeId, msg.sender, vote);
    }

    /// @inheritdoc IDisputes
    function setParameters(Parameters calldata given) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setParameters(given);
    }

    /// @inheritdoc IDisputes
    function parameters() external view returns (Parameters memory) {
        return Parameters({
            bond: _opening.bond,
            penalty: _opening.penalty,
            jurorStake: _steps.jurorStake,
            answerPeriod: _opening.answerPeriod,
            commitPeriod: _steps.commitPeriod,
            revealPeriod: _steps.revealPeriod,
            appealPeriod: _steps.appealPeriod,
            committeeSize: _steps.committeeSize
        });
    }

    /// @inheritdoc IDisputes
    function disputeOf(uint256 disputeId) external view returns (Dispute memory) {
        Record storage dispute = _disputes[disputeId];
        return Dispute({
            challenger: dispute.challenger,
            deadline: dispute.deadline,
            phase: dispute.phase,
            verdict: dispute.verdict,
            round: dispute.round,
            accused: dispute.accused,
            bond: dispute.phase == Phase.None ? 0 : _bondOf(disputeId, dispute),
            atRisk: dispute.atRisk,
            epoch: dispute.epoch,
            drawBlock: dispute.drawBlock,
            revealUntil: dispute.revealUntil
        });
    }

    /// @inheritdoc IDisputes
    function disputeCount() external view returns (uint256) {
        return _opening.count;
    }

    /// @inheritdoc IDisputes
    function committeeOf(uint256 disputeId, uint256 round) external view returns (address[] memory) {
        return _committees[disputeId][round];
    }

    /// @inheritdoc IDisputes
    function ballotOf(uint256 disputeId, uint256 round, address juror) external view returns (Ballot memory) {
        return _ballots[disputeId][round][juror];
    }

    /// @inheritdoc IDisputes
    function commitmentOf(uint256 disputeId, uint256 round, address juror, Verdict vote, bytes32 salt)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(disputeId, round, juror, vote, salt));
    }

    /// @dev Nobody is tried twice for one submission.
    function _tryOnce(bytes32 submission) internal {
        if (_tried[submission]) revert AlreadyChallenged(submission);
        _tried[submission] = true;
    }

    function _setParameters(Parameters memory given) internal {
        bool stakes = given.bond != 0 && given.penalty != 0;
        bool periods = _isPeriod(given.answerPeriod) && _isPeriod(given.commitPeriod) && _isPeriod(given.revealPeriod)
            && _isPeriod(given.appealPeriod);
        bool size = given.committeeSize % 2 == 1 && given.committeeSize <= MAX_COMMITTEE;
        if (!stakes || !periods || !size) revert ParameterOutOfBounds();
        uint32 count = _opening.count;
        _opening = Opening(given.bond, given.penalty, given.answerPeriod, count);
        _steps =
            Steps(given.jurorStake, given.commitPeriod, given.revealPeriod, given.appealPeriod, given.committeeSize);
        _bonds.push(uint96(count) + 1, given.bond);
        emit ParametersChanged(given);
    }

    function _in(uint256 disputeId, Phase phase) internal view returns (Record storage dispute) {
        dispute = _disputes[disputeId];
        if (dispute.phase != phase) revert WrongPhase(disputeId, dispute.phase);
    }

    function _committeeSize(uint256 round) internal view returns (uint256) {
        uint256 first = _steps.committeeSize;
        return round == 0 ? first : 2 * first + 1;
    }

    /// @dev The challenger's stake locked in a dispute: the bond of its time, and what an appeal of his added.
    function _bondOf(uint256 disputeId, Record storage dispute) internal view returns (uint96) {
        uint96 bond = uint96(_bonds.upperLookup(uint96(disputeId)));
        // The third slot is read only where an appeal can have written to it.
        return dispute.round == 0 ? bond : bond + dispute.appealBond;
    }

    /// @dev The jurors of a round who voted for its verdict.
    function _jurorsFor(uint256 disputeId, uint256 round, Verdict verdict)
        internal
        view
        returns (address[] memory jurors)
    {
        address[] storage committee = _committees[disputeId][round];
        jurors = new address[](committee.length);
        uint256 found = 0;
        for (uint256 i = 0; i < committee.length; ++i) {
            if (_ballots[disputeId][round][committee[i]].vote == verdict) jurors[found++] = committee[i];
        }
        assembly ("memory-safe") {
            mstore(jurors, found)
        }
    }

    function _ballotOf(uint256 disputeId, uint256 round) private view returns (Ballot storage ballot) {
        ballot = _ballots[disputeId][round][msg.sender];
        if (!ballot.drawn) revert NotJuror(disputeId, msg.sender);
    }

    function _isPeriod(uint256 period) private pure returns (bool) {
        return period != 0 && period <= MAX_PERIOD;
    }
}
