// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { DisputeBook } from "./DisputeBook.sol";
import { IVerifierPool } from "./interfaces/IVerifierPool.sol";
import { NodeRegistry } from "./NodeRegistry.sol";
import { R1Token } from "./R1Token.sol";

/// @title Jury
/// @notice The jurors' part of a dispute: seated, counted, let go, paid. See {IDisputes}.
abstract contract Jury is DisputeBook {
    using SafeERC20 for R1Token;

    /// @notice Holds all stakes and bonds.
    NodeRegistry public immutable registry;
    /// @notice Where jurors come from.
    IVerifierPool public immutable pool;
    /// @notice What stakes, fees and bounties are in.
    R1Token public immutable token;

    uint256 private immutable _drawDelay;

    constructor(NodeRegistry registry_, IVerifierPool pool_) {
        registry = registry_;
        pool = pool_;
        _drawDelay = pool_.DRAW_DELAY();
        token = registry_.token();
    }

    function _callForCommittee(Record storage dispute) internal {
        dispute.phase = Phase.Drawing;
        dispute.drawBlock = uint48(block.number + _drawDelay);
    }

    /// @dev Who is seated follows from the dispute's number, its round and past blocks: nothing is read that a call could
    /// change.
    function _pick(uint256 disputeId, Record storage dispute)
        internal
        view
        returns (address[] memory committee, uint256[] memory seats)
    {
        bytes32 salt = keccak256(abi.encode(address(this), disputeId, dispute.round));
        uint256 wanted = _seatsAfter(_steps.committeeSize, dispute.appeals);
        return pool.drawOn(dispute.drawBlock, salt, wanted, _barred(disputeId, dispute));
    }

    function _seat(uint256 disputeId, Record storage dispute, address[] memory committee, uint256[] memory seats)
        internal
    {
        uint256 round = dispute.round;
        for (uint256 i = 0; i < committee.length; ++i) {
            Ballot storage ballot = _ballots[disputeId][round][committee[i]];
            // forge-lint: disable-next-line(unsafe-typecast) -- at most MAX_SEATS
            ballot.seats = uint8(seats[i]);
            ballot.atRisk = uint96(seats[i] * _steps.jurorStake);
            ballot.locked = uint96(registry.lock(committee[i], ballot.atRisk));
        }
        _committees[disputeId][round] = committee;
        dispute.phase = Phase.Voting;
        dispute.deadline = uint40(_now() + _steps.commitPeriod);
        dispute.revealUntil = dispute.deadline + _steps.revealPeriod;
        emit CommitteeDrawn(disputeId, round, committee, seats, dispute.deadline, dispute.revealUntil);
    }

    /// @dev What a committee found; None without reveals for more than half of the seats, or with a tie.
    function _count(uint256 disputeId, uint256 round) internal view returns (Verdict) {
        address[] storage committee = _committees[disputeId][round];
        uint256[3] memory votes;
        for (uint256 i = 0; i < committee.length; ++i) {
            Ballot storage ballot = _ballots[disputeId][round][committee[i]];
            votes[uint256(ballot.vote)] += ballot.seats;
        }
        (uint256 guilty, uint256 innocent) = (votes[uint256(Verdict.Guilty)], votes[uint256(Verdict.Innocent)]);
        if (guilty + innocent <= votes[uint256(Verdict.None)] || guilty == innocent) return Verdict.None;
        return guilty > innocent ? Verdict.Guilty : Verdict.Innocent;
    }

    /// @dev Lets all jurors of all rounds go. Whoever was not with the verdict loses his stake, half of it to those who
    /// were; without a verdict only the silent lose theirs, and all of it burns. What is left of `pot` after the fees,
    /// and what does not divide, is the winner's.
    function _dismiss(uint256 disputeId, uint256 rounds, Verdict verdict, uint256 pot, address winner) internal {
        (uint256 coherent, uint256 forfeited) = (0, 0);
        for (uint256 round = 0; round < rounds; ++round) {
            address[] storage committee = _committees[disputeId][round];
            for (uint256 i = 0; i < committee.length; ++i) {
                Ballot storage ballot = _ballots[disputeId][round][committee[i]];
                registry.unlock(committee[i], ballot.locked);
                // Without a verdict this keeps those who spoke, and burns all that the silent lose.
                bool keeps = verdict == Verdict.None ? ballot.vote != verdict : ballot.vote == verdict;
                if (keeps) {
                    coherent += ballot.seats;
                } else {
                    uint256 shared = verdict == Verdict.None ? 0 : ballot.atRisk / 2;
                    forfeited += registry.slash(committee[i], ballot.atRisk, address(this), shared);
                }
            }
        }
        uint256 each = 0;
        if (coherent != 0) {
            // What fees there are: a loser in debt leaves less than the parameters promise.
            uint256 fees = coherent * _steps.jurorFee;
            each = ((fees < pot ? fees : pot) + forfeited) / coherent;
        }
        if (each != 0) _pay(disputeId, rounds, verdict, each);
        uint256 rest = pot + forfeited - each * coherent;
        if (rest != 0) token.safeTransfer(winner, rest);
    }

    function _pay(uint256 disputeId, uint256 rounds, Verdict verdict, uint256 each) private {
        for (uint256 round = 0; round < rounds; ++round) {
            address[] storage committee = _committees[disputeId][round];
            for (uint256 i = 0; i < committee.length; ++i) {
                Ballot storage ballot = _ballots[disputeId][round][committee[i]];
                if (ballot.vote == verdict) token.safeTransfer(committee[i], each * ballot.seats);
            }
        }
    }

    /// @dev The parties, and all who sat on earlier committees of this dispute.
    function _barred(uint256 disputeId, Record storage dispute) private view returns (address[] memory barred) {
        uint256 round = dispute.round;
        barred = new address[](2 + round * MAX_SEATS);
        (barred[0], barred[1]) = (dispute.challenger, dispute.accused);
        uint256 found = 2;
        for (uint256 earlier = 0; earlier < round; ++earlier) {
            address[] storage committee = _committees[disputeId][earlier];
            for (uint256 i = 0; i < committee.length; ++i) {
                barred[found++] = committee[i];
            }
        }
        assembly ("memory-safe") {
            mstore(barred, found)
        }
    }
}
