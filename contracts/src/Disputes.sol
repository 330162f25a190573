// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { DisputeBook } from "./DisputeBook.sol";
import { IDisputes } from "./interfaces/IDisputes.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";
import { IVerifierPool } from "./interfaces/IVerifierPool.sol";
import { MerklePath } from "./libraries/MerklePath.sol";
import { SubmissionHash } from "./libraries/SubmissionHash.sol";
import { NodeRegistry } from "./NodeRegistry.sol";
import { R1Token } from "./R1Token.sol";

/// @title Disputes
/// @notice See {IDisputes}.
contract Disputes is DisputeBook {
    using SafeERC20 for R1Token;

    /// @notice Blocks between the call for a committee and the block whose hash picks it.
    uint256 public constant DRAW_DELAY = 2;

    /// @notice Holds all bonds, as locked stake.
    NodeRegistry public immutable registry;
    /// @notice Whose epochs are disputed.
    ISettlement public immutable settlement;
    /// @notice Where jurors come from.
    IVerifierPool public immutable pool;
    /// @notice What bonds and bounties are paid in.
    R1Token public immutable token;

    /// @param admin Holds the admin role: the timelock, or the deployer until it hands over.
    constructor(
        address admin,
        NodeRegistry registry_,
        ISettlement settlement_,
        IVerifierPool pool_,
        Parameters memory given
    ) DisputeBook(admin, given) {
        registry = registry_;
        settlement = settlement_;
        pool = pool_;
        token = registry_.token();
    }

    /// @inheritdoc IDisputes
    function challengeEpoch(uint256 epoch, bytes32 evidence) external returns (uint256 disputeId) {
        (address proposer, bytes32 commitment) = settlement.freeze(epoch);
        return _open(proposer, uint32(epoch), commitment, evidence);
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
        _tryOnce(keccak256(abi.encode(digest, worker)));
        return _open(accused, 0, traceDigest, evidence);
    }

    /// @inheritdoc IDisputes
    function answer(uint256 disputeId, bytes32 reply) external {
        Record storage dispute = _in(disputeId, Phase.Open);
        if (msg.sender != dispute.accused) revert NotParty(disputeId, msg.sender);
        if (block.timestamp >= dispute.deadline) revert TooLate(dispute.deadline);
        _callForCommittee(dispute);
        emit DisputeAnswered(disputeId, reply, dispute.drawBlock);
    }

    /// @inheritdoc IDisputes
    function draw(uint256 disputeId) external {
        Record storage dispute = _in(disputeId, Phase.Drawing);
        if (block.number <= dispute.drawBlock) revert TooEarly(dispute.drawBlock + 1);
        bytes32 hash = blockhash(dispute.drawBlock);
        if (hash == 0) {
            _callForCommittee(dispute);
            emit DrawRescheduled(disputeId, dispute.drawBlock);
            return;
        }
        bytes32 seed = keccak256(abi.encode(hash, address(this), disputeId, dispute.round));
        address[] memory committee = pool.draw(seed, _committeeSize(dispute.round), dispute.challenger, dispute.accused);
        if (committee.length == 0) return _end(disputeId, dispute, dispute.verdict);
        _seat(disputeId, dispute, committee);
    }

    /// @inheritdoc IDisputes
    function tally(uint256 disputeId) external {
        Record storage dispute = _in(disputeId, Phase.Voting);
        if (block.timestamp < dispute.revealUntil) revert TooEarly(dispute.revealUntil);
        (uint256 guilty, uint256 innocent) = _dismiss(disputeId, dispute.round);
        // Nobody judged: what the round before found stands, and in the first round nothing was found.
        if (guilty + innocent == 0) return _end(disputeId, dispute, dispute.verdict);
        Verdict verdict = guilty > innocent ? Verdict.Guilty : Verdict.Innocent;
        dispute.verdict = verdict;
        if (dispute.round == 1) return _end(disputeId, dispute, verdict);
        dispute.phase = Phase.Decided;
        dispute.deadline = uint40(block.timestamp + _steps.appealPeriod);
        emit DisputeDecided(disputeId, verdict, dispute.deadline);
    }

    /// @inheritdoc IDisputes
    function appeal(uint256 disputeId) external {
        Record storage dispute = _in(disputeId, Phase.Decided);
        if (block.timestamp >= dispute.deadline) revert TooLate(dispute.deadline);
        bool byAccused = dispute.verdict == Verdict.Guilty;
        if (msg.sender != (byAccused ? dispute.accused : dispute.challenger)) revert NotParty(disputeId, msg.sender);
        uint96 more = _opening.bond;
        _lockBond(msg.sender, more);
        if (byAccused) dispute.atRisk += more;
        else dispute.appealBond = more;
        dispute.round = 1;
        _callForCommittee(dispute);
        emit DisputeAppealed(disputeId, msg.sender, dispute.drawBlock);
    }

    /// @inheritdoc IDisputes
    function resolve(uint256 disputeId) external {
        Record storage dispute = _disputes[disputeId];
        if (dispute.phase != Phase.Open && dispute.phase != Phase.Decided) revert WrongPhase(disputeId, dispute.phase);
        if (block.timestamp < dispute.deadline) revert TooEarly(dispute.deadline);
        _end(disputeId, dispute, dispute.phase == Phase.Open ? Verdict.Guilty : dispute.verdict);
    }

    function _open(address accused, uint32 epoch, bytes32 subject, bytes32 evidence)
        private
        returns (uint256 disputeId)
    {
        if (accused == msg.sender) revert SelfAccusation(msg.sender);
        if (!registry.isActive(msg.sender)) revert ChallengerNotActive(msg.sender);
        Opening memory opening = _opening;
        _lockBond(msg.sender, opening.bond);
        disputeId = ++opening.count;
        _opening.count = uint32(disputeId);
        Record storage dispute = _disputes[disputeId];
        // Field by field: writing zeros to the third slot would read it for nothing.
        dispute.challenger = msg.sender;
        dispute.deadline = uint40(block.timestamp + opening.answerPeriod);
        dispute.phase = Phase.Open;
        dispute.epoch = epoch;
        dispute.accused = accused;
        dispute.atRisk = uint96(registry.lock(accused, opening.penalty));
        emit DisputeOpened(disputeId, msg.sender, accused, epoch, subject, evidence);
    }

    function _lockBond(address owner, uint96 bond) private {
        uint256 locked = registry.lock(owner, bond);
        if (locked < bond) revert BondNotCovered(owner, bond, locked);
    }

    function _callForCommittee(Record storage dispute) private {
        dispute.phase = Phase.Drawing;
        dispute.drawBlock = uint48(block.number + DRAW_DELAY);
    }

    function _seat(uint256 disputeId, Record storage dispute, address[] memory committee) private {
        uint256 round = dispute.round;
        for (uint256 i = 0; i < committee.length; ++i) {
            Ballot storage ballot = _ballots[disputeId][round][committee[i]];
            ballot.drawn = true;
            ballot.locked = uint96(registry.lock(committee[i], _steps.jurorStake));
        }
        _committees[disputeId][round] = committee;
        dispute.phase = Phase.Voting;
        dispute.deadline = uint40(block.timestamp + _steps.commitPeriod);
        dispute.revealUntil = dispute.deadline + _steps.revealPeriod;
        emit CommitteeDrawn(disputeId, round, committee, dispute.deadline, dispute.revealUntil);
    }

    /// @dev Counts the votes, frees the stake of those who voted and burns that of those who did not.
    function _dismiss(uint256 disputeId, uint256 round) private returns (uint256 guilty, uint256 innocent) {
        address[] storage committee = _committees[disputeId][round];
        for (uint256 i = 0; i < committee.length; ++i) {
            Ballot storage ballot = _ballots[disputeId][round][committee[i]];
            registry.unlock(committee[i], ballot.locked);
            if (ballot.vote == Verdict.None) {
                registry.slash(committee[i], ballot.locked, address(0), 0);
                continue;
            }
            if (ballot.vote == Verdict.Guilty) ++guilty;
            else ++innocent;
        }
    }

    /// @dev Every way out of a dispute leads here, once: both locks are undone and the epoch is let go.
    function _end(uint256 disputeId, Record storage dispute, Verdict verdict) private {
        dispute.phase = Phase.Resolved;
        dispute.verdict = verdict;
        bool guilty = verdict == Verdict.Guilty;
        uint256 bond = _bondOf(disputeId, dispute);
        uint256 slashed = verdict == Verdict.None ? 0 : guilty ? dispute.atRisk : bond;
        emit DisputeResolved(disputeId, verdict, slashed);
        if (dispute.epoch != 0) settlement.unfreeze(dispute.epoch, guilty);
        registry.unlock(dispute.accused, dispute.atRisk);
        registry.unlock(dispute.challenger, bond);
        if (slashed == 0) return;
        (address loser, address winner) =
            guilty ? (dispute.accused, dispute.challenger) : (dispute.challenger, dispute.accused);
        _share(disputeId, dispute.round, verdict, slashed, loser, winner);
    }

    /// @dev A quarter to the winner, a quarter among the jurors who found so, half burned, with what does not divide.
    /// Where nobody judged (no answer, or an appeal without votes) the winner gets the jurors' quarter too.
    function _share(uint256 disputeId, uint256 round, Verdict verdict, uint256 slashed, address loser, address winner)
        private
    {
        address[] memory jurors = _jurorsFor(disputeId, round, verdict);
        if (jurors.length == 0) {
            registry.slash(loser, slashed, winner, slashed / 2);
            return;
        }
        uint256 toEach = slashed / 4 / jurors.length;
        uint256 paid = registry.slash(loser, slashed, address(this), slashed / 4 + toEach * jurors.length);
        // A fraud proof may have taken the stake meanwhile: what is left is shared in the same way.
        toEach = paid / 2 / jurors.length;
        uint256 toWinner = paid - toEach * jurors.length;
        token.safeTransfer(winner, toWinner);
        for (uint256 i = 0; i < jurors.length; ++i) {
            token.safeTransfer(jurors[i], toEach);
        }
    }
}
