// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";

/// @dev Up to two appeals, each dearer, each to others.
contract DisputesAppealTest is DisputeFixture {
    function setUp() public override {
        super.setUp();
        fillPool(60);
    }

    function answered() private returns (uint256 id) {
        id = openLineDispute();
        answerAs(bob, id);
    }

    function found(uint256 id, bool guilty) private {
        judge(id, guilty ? 31 : 0, guilty ? 0 : 31);
    }

    function testFuzz_onlyTheLoserAppealsInTime(bool guilty, uint256 late) public {
        uint256 id = answered();
        found(id, guilty);
        (address loser, address winner) = guilty ? (bob, alice) : (alice, bob);
        uint256 deadline = block.timestamp + APPEAL;
        vm.prank(winner);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.NotParty.selector, id, winner));
        disputes.appeal(id);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooEarly.selector, deadline));
        disputes.resolve(id);
        skip(bound(late, APPEAL, 365 days));
        vm.prank(loser);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooLate.selector, deadline));
        disputes.appeal(id);
    }

    /// @dev All eight ways that three committees can decide: the last word counts, for both parties and for all jurors.
    function testFuzz_theSecondAppealIsFinal(bool[3] memory guilty) public {
        uint256 id = answered();
        uint256 bond = BOND;
        uint256 penalty = PENALTY;
        for (uint256 round = 0; round < 3; ++round) {
            found(id, guilty[round]);
            eq(seatsOf(id, round), 2 ** (round + 2) - 1, "3, 7, 15");
            if (round == 2) break;
            if (guilty[round]) penalty += BOND << (round + 1);
            else bond += BOND << (round + 1);
            vm.prank(guilty[round] ? bob : alice);
            disputes.appeal(id);
        }
        isPhase(id, IDisputes.Phase.Resolved);
        eq(registry.nodeOf(bob).stake, STAKE - (guilty[2] ? penalty + BASE_BOND : 0), "accused");
        eq(registry.nodeOf(alice).stake, STAKE - (guilty[2] ? 0 : bond), "challenger");
        isStatus(1, guilty[2] ? ISettlement.Status.Rejected : ISettlement.Status.Pending);
        nothingLocked(alice);
        nothingLocked(bob);
        for (uint256 round = 0; round < 3; ++round) {
            jurorsOf(id, round, guilty[round] == guilty[2]);
        }
        eq(r1.balanceOf(address(disputes)), 0, "nothing stays");
    }

    function seatsOf(uint256 id, uint256 round) private view returns (uint256 seats) {
        address[] memory committee = disputes.committeeOf(id, round);
        for (uint256 i = 0; i < committee.length; ++i) {
            seats += disputes.ballotOf(id, round, committee[i]).seats;
        }
    }

    function jurorsOf(uint256 id, uint256 round, bool coherent) private view {
        address[] memory committee = disputes.committeeOf(id, round);
        for (uint256 i = 0; i < committee.length; ++i) {
            uint256 seats = disputes.ballotOf(id, round, committee[i]).seats;
            uint256 stake = registry.nodeOf(committee[i]).stake;
            uint256 paid = r1.balanceOf(committee[i]);
            if (coherent) check(stake == STAKE && paid >= seats * FEE, "paid");
            else check(stake == STAKE - seats * JUROR_STAKE && paid == 0, "slashed");
            onlyPoolHolds(committee[i]);
        }
    }

    function test_nobodyJudgesTwice() public {
        uint256 id = answered();
        judge(id, 0, 0);
        found(id, true);
        vm.prank(bob);
        disputes.appeal(id);
        found(id, false);
        vm.prank(alice);
        disputes.appeal(id);
        drawNow(id);
        for (uint256 round = 0; round < 4; ++round) {
            address[] memory committee = disputes.committeeOf(id, round);
            check(committee.length != 0, "sat");
            for (uint256 i = 0; i < committee.length; ++i) {
                for (uint256 other = 0; other < round; ++other) {
                    eq(disputes.ballotOf(id, other, committee[i]).seats, 0, "did not judge before");
                }
            }
        }
    }

    function test_aChallengersAppealNeedsItsBond() public {
        uint256 id = answered();
        found(id, false);
        registry.lock(alice, STAKE - BOND - 2 * BOND + 1);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.BondNotCovered.selector, alice, 2 * BOND, 2 * BOND - 1));
        disputes.appeal(id);
    }

    /// @dev Nothing free, nothing at all, or already in debt: an accused is heard, and owes what he has not.
    function testFuzz_anAccusedCanAlwaysAppeal(uint256 taken, bool innocent) public {
        uint256 id = answered();
        found(id, true);
        taken = bound(taken, 0, 2 * STAKE);
        registry.lock(bob, STAKE);
        registry.slash(bob, taken, address(0), 0);
        vm.prank(bob);
        disputes.appeal(id);
        found(id, !innocent);
        afterAppealTime(id);
        uint256 owed = taken + (innocent ? 0 : PENALTY + 2 * BOND + BASE_BOND);
        uint256 bounty = innocent ? r1.balanceOf(bob) : 0;
        check(!innocent || bounty != 0, "the accuser pays");
        eq(registry.nodeOf(bob).stake, owed < STAKE ? STAKE - owed : 0, "stake");
        eq(registry.nodeOf(bob).debt, owed < STAKE ? 0 : owed - STAKE, "debt");
    }

    /// @dev An appeal that nobody decides ends the dispute: nobody is slashed, and the money stays where it is.
    function testFuzz_anAppealWithoutMajorityIsUndecided(bool guilty) public {
        uint256 id = answered();
        found(id, guilty);
        vm.prank(guilty ? bob : alice);
        disputes.appeal(id);
        judge(id, 0, 0);
        isPhase(id, IDisputes.Phase.Drawing);
        judge(id, 0, 0);
        isPhase(id, IDisputes.Phase.Resolved);
        isStatus(1, ISettlement.Status.Rejected);
        eq(registry.nodeOf(bob).stake, STAKE, "accused");
        eq(registry.nodeOf(alice).stake, STAKE, "challenger");
        nothingLocked(alice);
        nothingLocked(bob);
    }
}
