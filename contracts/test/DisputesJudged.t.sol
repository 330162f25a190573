// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";

/// @dev Drawing, voting, and who gets what.
contract DisputesJudgedTest is DisputeFixture {
    function setUp() public override {
        super.setUp();
        fillPool(9);
    }

    function answered() private returns (uint256 id) {
        id = openEpochDispute();
        answerAs(bob, id);
    }

    function voting() private returns (uint256 id, address[] memory committee) {
        id = answered();
        committee = drawNow(id);
    }

    function test_theCommitteeIsDrawnFromALaterBlock() public {
        uint256 id = answered();
        uint256 drawBlock = block.number + 2;
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooEarly.selector, drawBlock + 1));
        disputes.draw(id);
        vm.roll(drawBlock);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooEarly.selector, drawBlock + 1));
        disputes.draw(id);
        vm.roll(drawBlock + 1);
        disputes.draw(id);
        eq(disputes.committeeOf(id, 0).length, 3, "size");
        isPhase(id, IDisputes.Phase.Voting);
    }

    function testFuzz_aLateDrawIsRescheduled(uint256 late) public {
        uint256 id = answered();
        vm.roll(disputes.disputeOf(id).drawBlock + bound(late, 257, 1_000_000));
        disputes.draw(id);
        isPhase(id, IDisputes.Phase.Drawing);
        eq(disputes.disputeOf(id).drawBlock, block.number + 2, "new block");
        drawNow(id);
        isPhase(id, IDisputes.Phase.Voting);
    }

    function testFuzz_jurorsAreDifferentActiveAndNoParties(bytes32 seed) public {
        vm.prank(alice);
        pool.join();
        vm.prank(bob);
        pool.join();
        vm.prank(jurorAt(0));
        registry.deactivate();
        address[] memory committee = pool.draw(seed, 7, alice, bob);
        eq(committee.length, 7, "size");
        for (uint256 i = 0; i < committee.length; ++i) {
            check(committee[i] != alice && committee[i] != bob && committee[i] != jurorAt(0), "eligible");
            for (uint256 j = 0; j < i; ++j) {
                check(committee[i] != committee[j], "different");
            }
        }
    }

    function test_withoutVerifiersNobodyIsJudged() public {
        for (uint256 i = 0; i < 9; ++i) {
            vm.prank(jurorAt(i));
            pool.quit();
        }
        uint256 id = answered();
        drawNow(id);
        isPhase(id, IDisputes.Phase.Resolved);
        eq(uint256(disputes.disputeOf(id).verdict), uint256(IDisputes.Verdict.None), "verdict");
        isStatus(1, ISettlement.Status.Pending);
        eq(settlement.epochOf(1).disputes, 0, "let go");
        nothingLocked(alice);
        nothingLocked(bob);
    }

    function testFuzz_guiltyMovesExactlyTheBonds(uint8 guilty_) public {
        uint256 guilty = bound(guilty_, 2, 3);
        uint256 id = answered();
        uint256 supply = r1.totalSupply();
        judge(id, guilty, 3 - guilty);
        afterAppealTime(id);
        uint256 each = (PENALTY / 4) / guilty;
        address[] memory committee = disputes.committeeOf(id, 0);
        for (uint256 i = 0; i < 3; ++i) {
            eq(r1.balanceOf(committee[i]), i < guilty ? each : 0, "juror");
            nothingLocked(committee[i]);
        }
        eq(r1.balanceOf(alice), PENALTY / 4, "challenger");
        eq(registry.nodeOf(bob).stake, STAKE - PENALTY, "accused");
        eq(supply - r1.totalSupply(), PENALTY - PENALTY / 4 - each * guilty, "burned");
        eq(r1.balanceOf(address(disputes)), 0, "nothing stays here");
        isStatus(1, ISettlement.Status.Rejected);
        nothingLocked(alice);
        nothingLocked(bob);
    }

    function testFuzz_innocentMovesExactlyTheBonds(uint8 innocent_) public {
        uint256 innocent = bound(innocent_, 2, 3);
        uint256 id = answered();
        judge(id, 3 - innocent, innocent);
        afterAppealTime(id);
        eq(r1.balanceOf(bob), BOND / 4, "accused");
        eq(registry.nodeOf(alice).stake, STAKE - BOND, "challenger");
        eq(registry.nodeOf(bob).stake, STAKE, "accused keeps all");
        isStatus(1, ISettlement.Status.Pending);
        eq(settlement.epochOf(1).disputes, 0, "let go");
        nothingLocked(alice);
        nothingLocked(bob);
    }

    function test_aTieIsInnocent() public {
        uint256 id = answered();
        judge(id, 1, 1);
        eq(uint256(disputes.disputeOf(id).verdict), uint256(IDisputes.Verdict.Innocent), "verdict");
    }

    function test_whoDoesNotVoteLosesHisJurorStake() public {
        uint256 id = answered();
        judge(id, 2, 0);
        address[] memory committee = disputes.committeeOf(id, 0);
        eq(disputes.ballotOf(id, 0, committee[2]).locked, JUROR_STAKE, "was at stake");
        eq(registry.nodeOf(committee[0]).stake, STAKE, "voted");
        eq(registry.nodeOf(committee[2]).stake, STAKE - JUROR_STAKE, "did not");
        nothingLocked(committee[2]);
    }

    function test_noVotesAtAllLeaveBothAsTheyWere() public {
        uint256 id = answered();
        judge(id, 0, 0);
        isPhase(id, IDisputes.Phase.Resolved);
        eq(registry.nodeOf(alice).stake, STAKE, "challenger");
        eq(registry.nodeOf(bob).stake, STAKE, "accused");
        isStatus(1, ISettlement.Status.Pending);
    }

    function testFuzz_onlyJurorsVote(address caller) public {
        (uint256 id, address[] memory committee) = voting();
        vm.assume(caller != committee[0] && caller != committee[1] && caller != committee[2]);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.NotJuror.selector, id, caller));
        disputes.commit(id, keccak256("vote"));
    }

    function testFuzz_aRevealMustMatch(uint8 vote_, bytes32 salt) public {
        (uint256 id, address[] memory committee) = voting();
        IDisputes.Verdict vote = IDisputes.Verdict(bound(vote_, 1, 2));
        vm.assume(vote != IDisputes.Verdict.Guilty || salt != bytes32(uint256(1)));
        bytes32 commitment = disputes.commitmentOf(id, 0, committee[0], IDisputes.Verdict.Guilty, bytes32(uint256(1)));
        vm.prank(committee[0]);
        disputes.commit(id, commitment);
        skip(COMMIT);
        vm.prank(committee[0]);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.WrongReveal.selector, id, committee[0]));
        disputes.reveal(id, vote, salt);
    }

    function test_aCopiedCommitmentCannotBeRevealed() public {
        (uint256 id, address[] memory committee) = voting();
        bytes32 commitment = disputes.commitmentOf(id, 0, committee[0], IDisputes.Verdict.Guilty, 0);
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(committee[i]);
            disputes.commit(id, commitment);
        }
        skip(COMMIT);
        vm.prank(committee[1]);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.WrongReveal.selector, id, committee[1]));
        disputes.reveal(id, IDisputes.Verdict.Guilty, 0);
    }

    function test_votesOnceAndInTime() public {
        (uint256 id, address[] memory committee) = voting();
        uint256 deadline = block.timestamp + COMMIT;
        bytes32 commitment = disputes.commitmentOf(id, 0, committee[0], IDisputes.Verdict.Guilty, 0);
        vm.startPrank(committee[0]);
        disputes.commit(id, commitment);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.AlreadyVoted.selector, id, committee[0]));
        disputes.commit(id, commitment);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooEarly.selector, deadline));
        disputes.reveal(id, IDisputes.Verdict.Guilty, 0);
        vm.warp(deadline);
        vm.expectRevert(IDisputes.InvalidVote.selector);
        disputes.reveal(id, IDisputes.Verdict.None, 0);
        disputes.reveal(id, IDisputes.Verdict.Guilty, 0);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.AlreadyVoted.selector, id, committee[0]));
        disputes.reveal(id, IDisputes.Verdict.Guilty, 0);
        vm.stopPrank();
        vm.prank(committee[1]);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooLate.selector, deadline));
        disputes.commit(id, commitment);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooEarly.selector, deadline + REVEAL));
        disputes.tally(id);
        vm.warp(deadline + REVEAL);
        vm.prank(committee[0]);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooLate.selector, deadline + REVEAL));
        disputes.reveal(id, IDisputes.Verdict.Guilty, 0);
        disputes.tally(id);
    }

    function testFuzz_accusingOneselfLoses(uint8 guilty_) public {
        // Alice and bob are one person; whatever the committee finds, and even if he owns all jurors, he ends poorer.
        uint256 guilty = bound(guilty_, 0, 3);
        uint256 before = wealth();
        uint256 id = answered();
        judge(id, guilty, 3 - guilty);
        afterAppealTime(id);
        check(wealth() < before, "poorer");
    }

    function wealth() private view returns (uint256 total) {
        total = registry.nodeOf(alice).stake + registry.nodeOf(bob).stake + r1.balanceOf(alice) + r1.balanceOf(bob);
        for (uint256 i = 0; i < 9; ++i) {
            total += registry.nodeOf(jurorAt(i)).stake + r1.balanceOf(jurorAt(i));
        }
    }

    function test_twoDisputesOnOneEpochEndEachByItself() public {
        uint256 one = openEpochDispute();
        vm.prank(carol);
        uint256 two = disputes.challengeEpoch(1, EVIDENCE);
        skip(ANSWER);
        disputes.resolve(one);
        eq(settlement.epochOf(1).disputes, 1, "one left");
        disputes.resolve(two);
        eq(settlement.epochOf(1).disputes, 0, "none left");
        isStatus(1, ISettlement.Status.Rejected);
        nothingLocked(alice);
        nothingLocked(bob);
        nothingLocked(carol);
    }

    function testFuzz_stepsOutOfTurnAreRefused(address caller) public {
        uint256 id = openEpochDispute();
        bytes memory refusal = abi.encodeWithSelector(IDisputes.WrongPhase.selector, id, IDisputes.Phase.Open);
        vm.startPrank(caller);
        vm.expectRevert(refusal);
        disputes.draw(id);
        vm.expectRevert(refusal);
        disputes.commit(id, 0);
        vm.expectRevert(refusal);
        disputes.reveal(id, IDisputes.Verdict.Guilty, 0);
        vm.expectRevert(refusal);
        disputes.tally(id);
        vm.expectRevert(refusal);
        disputes.appeal(id);
        vm.stopPrank();
        answerAs(bob, id);
        refusal = abi.encodeWithSelector(IDisputes.WrongPhase.selector, id, IDisputes.Phase.Drawing);
        vm.expectRevert(refusal);
        disputes.resolve(id);
        vm.prank(bob);
        vm.expectRevert(refusal);
        disputes.answer(id, 0);
    }
}
