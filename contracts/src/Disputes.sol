// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { DisputeBook } from "./DisputeBook.sol";
import { IDisputes } from "./interfaces/IDisputes.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";
import { IVerifierPool } from "./interfaces/IVerifierPool.sol";
import { Jury } from "./Jury.sol";
import { MerklePath } from "./libraries/MerklePath.sol";
import { SubmissionHash } from "./libraries/SubmissionHash.sol";
import { NodeRegistry } from "./NodeRegistry.sol";

/// @title Disputes
/// @notice See {IDisputes}.
contract Disputes is Jury {
    /// @notice What is locked of an accused's stake: one wei locked keeps all of it from being withdrawn.
    uint256 public constant HOLD = 1;

    /// @param admin Holds the admin role: the timelock, or the deployer until it hands over.
    constructor(
        address admin,
        NodeRegistry registry_,
        ISettlement settlement_,
        IVerifierPool pool_,
        Parameters memory given
    ) DisputeBook(admin, settlement_, given) Jury(registry_, pool_) { }

    /// @inheritdoc IDisputes
    /// @dev One line may have several disputes: else a friendly accuser could take the only place, and lose.
    function challengeLine(uint256 epoch, uint256 line, bytes32 evidence) external returns (uint256 disputeId) {
        (address proposer, bytes32 commitment) = settlement.freeze(epoch, line);
        disputeId = _open(proposer, _lineKey(epoch, line), evidence, false);
        // Settlement has no line beyond 63.
        (_disputes[disputeId].epoch, _disputes[disputeId].line) = (uint32(epoch), uint8(line));
        emit DisputeOpened(disputeId, msg.sender, proposer, epoch, line, commitment, evidence);
    }

    /// @inheritdoc IDisputes
    function challengeTrace(
        Submission calldata submission,
        bytes32 traceDigest,
        bytes32[] calldata proof,
        bytes32 evidence
    ) external returns (uint256 disputeId) {
        bytes32 digest = SubmissionHash.digestOf(submission, address(registry));
        address worker = ECDSA.recover(digest, submission.signature);
        address accused = registry.accountableFor(worker);
        if (accused == address(0)) revert UnknownWorker(worker);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(traceDigest))));
        if (MerklePath.rootOf(proof, leaf) != submission.tracesRoot) revert TraceNotInSubmission(traceDigest);
        bytes32 key = _traceKey(worker, traceDigest);
        disputeId = _open(accused, key, evidence, true);
        _disputes[disputeId].trace = key;
        emit DisputeOpened(disputeId, msg.sender, accused, 0, 0, traceDigest, evidence);
    }

    /// @inheritdoc IDisputes
    function answer(uint256 disputeId, bytes32 reply) external {
        Record storage dispute = _in(disputeId, Phase.Open);
        if (msg.sender != dispute.accused) revert NotParty(disputeId, msg.sender);
        if (_now() >= dispute.deadline) revert TooLate(dispute.deadline);
        _callForCommittee(dispute);
        emit DisputeAnswered(disputeId, reply, dispute.drawBlock);
    }

    /// @inheritdoc IDisputes
    function draw(uint256 disputeId) external {
        Record storage dispute = _in(disputeId, Phase.Drawing);
        if (block.number <= dispute.drawBlock) revert TooEarly(dispute.drawBlock + 1);
        (address[] memory committee, uint256[] memory seats) = _pick(disputeId, dispute);
        if (committee.length == 0) _end(disputeId, dispute, dispute.round, Verdict.None);
        else _seat(disputeId, dispute, committee, seats);
    }

    /// @inheritdoc IDisputes
    function tally(uint256 disputeId) external {
        Record storage dispute = _in(disputeId, Phase.Voting);
        uint256 clock = _now();
        if (clock < dispute.revealUntil) revert TooEarly(dispute.revealUntil);
        uint8 round = dispute.round;
        Verdict verdict = _count(disputeId, round);
        if (verdict == Verdict.None && !dispute.redrawn) {
            (dispute.redrawn, dispute.round) = (true, round + 1);
            _callForCommittee(dispute);
            emit CommitteeRedrawn(disputeId, dispute.drawBlock);
        } else if (verdict == Verdict.None || dispute.appeals == MAX_APPEALS) {
            _end(disputeId, dispute, round + 1, verdict);
        } else {
            dispute.verdict = verdict;
            dispute.phase = Phase.Decided;
            dispute.deadline = uint40(clock + _steps.appealPeriod);
            emit DisputeDecided(disputeId, verdict, dispute.deadline);
        }
    }

    /// @inheritdoc IDisputes
    function appeal(uint256 disputeId) external {
        Record storage dispute = _in(disputeId, Phase.Decided);
        if (_now() >= dispute.deadline) revert TooLate(dispute.deadline);
        bool byAccused = dispute.verdict == Verdict.Guilty;
        if (msg.sender != (byAccused ? dispute.accused : dispute.challenger)) revert NotParty(disputeId, msg.sender);
        uint8 appeals = dispute.appeals + 1;
        (dispute.appeals, dispute.round) = (appeals, dispute.round + 1);
        uint96 more = _opening.bond << appeals;
        if (byAccused) {
            dispute.atRisk += more;
        } else {
            _lockBond(msg.sender, more);
            dispute.bond += more;
        }
        _callForCommittee(dispute);
        emit DisputeAppealed(disputeId, msg.sender, dispute.drawBlock);
    }

    /// @inheritdoc IDisputes
    function resolve(uint256 disputeId) external {
        Record storage dispute = _disputes[disputeId];
        Phase phase = dispute.phase;
        if (phase != Phase.Open && phase != Phase.Decided) revert WrongPhase(disputeId, phase);
        if (_now() < dispute.deadline) revert TooEarly(dispute.deadline);
        if (phase == Phase.Open) _end(disputeId, dispute, 0, Verdict.Guilty);
        else _end(disputeId, dispute, dispute.round + 1, dispute.verdict);
    }

    function _open(address accused, bytes32 subject, bytes32 evidence, bool alone) private returns (uint256 disputeId) {
        if (accused == msg.sender) revert SelfAccusation(msg.sender);
        if (!registry.isActive(msg.sender)) revert ChallengerNotActive(msg.sender);
        Opening memory opening = _opening;
        disputeId = ++opening.count;
        _opening.count = uint32(disputeId);
        uint96 bond = uint96(uint256(opening.bond) << _file(subject, evidence, disputeId, alone));
        _lockBond(msg.sender, bond);
        Record storage dispute = _disputes[disputeId];
        dispute.challenger = msg.sender;
        dispute.deadline = uint40(_now() + opening.answerPeriod);
        dispute.phase = Phase.Open;
        dispute.held = registry.lock(accused, HOLD) == HOLD;
        dispute.accused = accused;
        dispute.bond = bond;
        dispute.atRisk = opening.penalty;
    }

    function _lockBond(address owner, uint96 bond) private {
        uint256 locked = registry.lock(owner, bond);
        if (locked < bond) revert BondNotCovered(owner, bond, locked);
    }

    /// @dev Every way out of a dispute leads here, once: all locks are undone and the subject is let go.
    /// @param rounds How many committees have sat.
    function _end(uint256 disputeId, Record storage dispute, uint256 rounds, Verdict verdict) private {
        (dispute.phase, dispute.verdict) = (Phase.Resolved, verdict);
        (address challenger, address accused) = (dispute.challenger, dispute.accused);
        bool guilty = verdict == Verdict.Guilty;
        bool again = _enter(dispute, verdict);
        uint256 owed = verdict == Verdict.None || (guilty && again) ? 0 : guilty ? dispute.atRisk : dispute.bond;
        emit DisputeResolved(disputeId, verdict, owed);
        registry.unlock(challenger, dispute.bond);
        if (dispute.held) registry.unlock(accused, HOLD);
        (address loser, address winner) = guilty ? (accused, challenger) : (challenger, accused);
        uint256 pot = owed == 0 ? 0 : registry.slash(loser, owed, address(this), owed / 2);
        // Only then the line, with which the epoch's bond burns: what a loser has pays who found him out first.
        if (dispute.epoch != 0) _letGo(dispute.epoch, dispute.line, verdict);
        _dismiss(disputeId, rounds, verdict, pot, winner);
        // What was taken from him counts no longer where jurors are drawn.
        if (owed != 0) pool.update(loser);
    }

    /// @dev A line passes only if it was found right.
    function _letGo(uint256 epoch, uint256 line, Verdict verdict) private {
        settlement.unfreeze(epoch, line, verdict == Verdict.Guilty);
        if (verdict != Verdict.None) return;
        bool pending = settlement.statusOf(epoch, line) == ISettlement.Status.Pending;
        if (pending) settlement.reject(epoch, line);
    }
}
