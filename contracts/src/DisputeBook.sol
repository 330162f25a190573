// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { AccessControl } from "@openzeppelin/contracts/access/AccessControl.sol";
import { IDisputes } from "./interfaces/IDisputes.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";

/// @title DisputeBook
/// @notice The records of disputes, the dockets of what they are about, the ballots, and the parameters. See
/// {IDisputes}.
abstract contract DisputeBook is IDisputes, AccessControl {
    /// @notice Longest period of any step.
    uint256 public constant MAX_PERIOD = 14 days;
    /// @notice Largest committee of a first round.
    uint256 public constant MAX_COMMITTEE = 15;
    /// @notice Largest committee: bounds what ending a dispute can cost.
    uint256 public constant MAX_SEATS = 31;
    /// @notice How often a verdict can be appealed.
    uint256 public constant MAX_APPEALS = 2;
    /// @notice How often acquittals double the bond.
    uint256 public constant MAX_DOUBLINGS = 4;
    /// @notice Largest amount of a parameter: MAX_SEATS of them, or a bond doubled so often, fit in 96 bits.
    uint96 public constant MAX_AMOUNT = type(uint96).max >> 5;

    /// @dev Two slots when a dispute opens, with a third for a trace; one more when it is answered. Settlement counts
    /// epochs one by one, so their numbers never reach 32 bits; nor do those of disputes.
    struct Record {
        address challenger;
        uint40 deadline;
        Phase phase;
        Verdict verdict;
        uint8 round;
        uint8 appeals;
        bool redrawn;
        bool held;
        address accused;
        uint96 bond;
        uint96 atRisk;
        uint32 epoch;
        uint8 line;
        uint48 drawBlock;
        uint40 revealUntil;
        bytes32 trace;
    }

    /// @dev What opening a dispute reads and counts.
    struct Opening {
        uint96 bond;
        uint96 penalty;
        uint32 answerPeriod;
        uint32 count;
    }

    /// @dev The other parameters.
    struct Steps {
        uint96 jurorStake;
        uint32 commitPeriod;
        uint32 revealPeriod;
        uint32 appealPeriod;
        uint8 committeeSize;
        uint96 jurorFee;
    }

    /// @notice Whose epochs are disputed, and whose clock counts.
    ISettlement public immutable settlement;

    Opening internal _opening;
    Steps internal _steps;
    mapping(uint256 disputeId => Record) internal _disputes;
    mapping(uint256 disputeId => mapping(uint256 round => address[])) internal _committees;
    mapping(uint256 disputeId => mapping(uint256 round => mapping(address juror => Ballot))) internal _ballots;
    mapping(bytes32 subject => Docket) private _dockets;
    /// @dev The newest dispute with an evidence about a subject.
    mapping(bytes32 subject => mapping(bytes32 evidence => uint256 disputeId)) private _filed;

    constructor(address admin, ISettlement settlement_, Parameters memory given) {
        settlement = settlement_;
        _setParameters(given);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc IDisputes
    function commit(uint256 disputeId, bytes32 commitment) external {
        Record storage dispute = _in(disputeId, Phase.Voting);
        if (_now() >= dispute.deadline) revert TooLate(dispute.deadline);
        Ballot storage ballot = _ballotOf(disputeId, dispute.round);
        if (ballot.commitment != 0) revert AlreadyVoted(disputeId, msg.sender);
        ballot.commitment = commitment;
        emit VoteCommitted(disputeId, msg.sender);
    }

    /// @inheritdoc IDisputes
    function reveal(uint256 disputeId, Verdict vote, bytes32 salt) external {
        Record storage dispute = _in(disputeId, Phase.Voting);
        uint256 clock = _now();
        if (clock < dispute.deadline) revert TooEarly(dispute.deadline);
        if (clock >= dispute.revealUntil) revert TooLate(dispute.revealUntil);
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
            jurorFee: _steps.jurorFee,
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
            appeals: dispute.appeals,
            redrawn: dispute.redrawn,
            accused: dispute.accused,
            bond: dispute.bond,
            atRisk: dispute.atRisk,
            epoch: dispute.epoch,
            line: dispute.line,
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
    function lineDocket(uint256 epoch, uint256 line) external view returns (Docket memory) {
        return _dockets[_lineKey(epoch, line)];
    }

    /// @inheritdoc IDisputes
    function traceDocket(address worker, bytes32 traceDigest) external view returns (Docket memory) {
        return _dockets[_traceKey(worker, traceDigest)];
    }

    /// @inheritdoc IDisputes
    function commitmentOf(uint256 disputeId, uint256 round, address juror, Verdict vote, bytes32 salt)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(disputeId, round, juror, vote, salt));
    }

    /// @dev Enters a new dispute about a subject. Returns how often the bond is doubled.
    function _file(bytes32 subject, bytes32 evidence, uint256 disputeId, bool alone)
        internal
        returns (uint256 doublings)
    {
        Docket memory docket = _dockets[subject];
        if (docket.convicted) revert AlreadyConvicted(subject);
        if (alone && docket.open != 0) revert AlreadyOpen(subject);
        uint256 earlier = _filed[subject][evidence];
        if (earlier != 0) {
            Record storage dispute = _disputes[earlier];
            if (dispute.phase != Phase.Resolved) revert AlreadyOpen(subject);
            if (dispute.verdict == Verdict.Innocent) revert EvidenceHeard(subject, evidence);
        }
        _filed[subject][evidence] = disputeId;
        _dockets[subject].open = docket.open + 1;
        return docket.acquittals < MAX_DOUBLINGS ? docket.acquittals : MAX_DOUBLINGS;
    }

    /// @dev Notes how a dispute about a subject ended. Returns whether it was found wrong before: nobody pays twice for
    /// one line, however many accuse him of it at once.
    function _enter(Record storage dispute, Verdict verdict) internal returns (bool again) {
        Docket storage docket = _dockets[dispute.epoch != 0 ? _lineKey(dispute.epoch, dispute.line) : dispute.trace];
        again = docket.convicted;
        --docket.open;
        if (verdict == Verdict.Innocent) ++docket.acquittals;
        if (verdict == Verdict.Guilty) docket.convicted = true;
    }

    function _setParameters(Parameters memory given) internal {
        bool periods = _isPeriod(given.answerPeriod) && _isPeriod(given.commitPeriod) && _isPeriod(given.revealPeriod)
            && _isPeriod(given.appealPeriod);
        uint256 size = given.committeeSize;
        bool odd = size % 2 == 1 && size <= MAX_COMMITTEE;
        // One committee more than there are rounds, as large as the largest: the one that may be drawn anew.
        uint256 seats = _seatsAfter(size, 0) + _seatsAfter(size, 1) + 2 * _seatsAfter(size, 2);
        bool covered = given.bond != 0 && given.penalty >= given.bond && given.bond / 2 >= given.jurorFee * seats;
        bool small = given.penalty <= MAX_AMOUNT && given.jurorStake <= MAX_AMOUNT;
        // Else accuser, accused and a lucky majority of jurors, all one person, could live off the honest minority.
        bool dear = given.bond >= given.jurorStake * (size / 2);
        if (!periods || !odd || !covered || !small || !dear) revert ParameterOutOfBounds();
        _opening = Opening(given.bond, given.penalty, given.answerPeriod, _opening.count);
        _steps = Steps({
            jurorStake: given.jurorStake,
            commitPeriod: given.commitPeriod,
            revealPeriod: given.revealPeriod,
            appealPeriod: given.appealPeriod,
            committeeSize: given.committeeSize,
            jurorFee: given.jurorFee
        });
        emit ParametersChanged(given);
    }

    function _in(uint256 disputeId, Phase phase) internal view returns (Record storage dispute) {
        dispute = _disputes[disputeId];
        if (dispute.phase != phase) revert WrongPhase(disputeId, dispute.phase);
    }

    function _now() internal view returns (uint256) {
        return settlement.clock();
    }

    function _lineKey(uint256 epoch, uint256 line) internal pure returns (bytes32) {
        return keccak256(abi.encode(epoch, line));
    }

    function _traceKey(address worker, bytes32 traceDigest) internal pure returns (bytes32) {
        return keccak256(abi.encode(worker, traceDigest));
    }

    /// @dev Seats of a committee after so many appeals: n, 2n + 1, 4n + 3.
    function _seatsAfter(uint256 first, uint256 appeals) internal pure returns (uint256 seats) {
        seats = ((first + 1) << appeals) - 1;
        return seats < MAX_SEATS ? seats : MAX_SEATS;
    }

    function _ballotOf(uint256 disputeId, uint256 round) private view returns (Ballot storage ballot) {
        ballot = _ballots[disputeId][round][msg.sender];
        if (ballot.seats == 0) revert NotJuror(disputeId, msg.sender);
    }

    function _isPeriod(uint256 period) private pure returns (bool) {
        return period != 0 && period <= MAX_PERIOD;
    }
}
