// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { AccessControl } from "@openzeppelin/contracts/access/AccessControl.sol";
import { IDisputes } from "./interfaces/IDisputes.sol";

/// @title DisputeBook
/// @notice The records of disputes, the ballots of their jurors, and the parameters. See {IDisputes}.
abstract contract DisputeBook is IDisputes, AccessControl {
    /// @notice Longest period of any step.
    uint256 public constant MAX_PERIOD = 14 days;
    /// @notice Largest committee of a first round.
    uint256 public constant MAX_COMMITTEE = 15;

    /// @inheritdoc IDisputes
    uint256 public disputeCount;

    Parameters internal _parameters;
    mapping(uint256 disputeId => Dispute) internal _disputes;
    mapping(uint256 disputeId => mapping(uint256 round => address[])) internal _committees;
    mapping(uint256 disputeId => mapping(uint256 round => mapping(address juror => Ballot))) internal _ballots;
    mapping(bytes32 submission => bool) private _tried;

    constructor(address admin, Parameters memory given) {
        _setParameters(given);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc IDisputes
    function commit(uint256 disputeId, bytes32 commitment) external {
        Dispute storage dispute = _in(disputeId, Phase.Voting);
        if (block.timestamp >= dispute.deadline) revert TooLate(dispute.deadline);
        Ballot storage ballot = _ballotOf(disputeId, dispute.round);
        if (ballot.commitment != 0) revert AlreadyVoted(disputeId, msg.sender);
        ballot.commitment = commitment;
        emit VoteCommitted(disputeId, msg.sender);
    }

    /// @inheritdoc IDisputes
    function reveal(uint256 disputeId, Verdict vote, bytes32 salt) external {
        Dispute storage dispute = _in(disputeId, Phase.Voting);
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
        return _parameters;
    }

    /// @inheritdoc IDisputes
    function disputeOf(uint256 disputeId) external view returns (Dispute memory) {
        return _disputes[disputeId];
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
        _parameters = given;
        emit ParametersChanged(given);
    }

    function _in(uint256 disputeId, Phase phase) internal view returns (Dispute storage dispute) {
        dispute = _disputes[disputeId];
        if (dispute.phase != phase) revert WrongPhase(disputeId, dispute.phase);
    }

    function _committeeSize(uint256 round) internal view returns (uint256) {
        uint256 first = _parameters.committeeSize;
        return round == 0 ? first : 2 * first + 1;
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
