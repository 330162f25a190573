// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";

/// @dev Drawing, voting, and who gets what.
contract DisputesJudgedTest is DisputeFixture {
    function setUp() public override {
        super.setUp();
        fillPool(40);
    }

    function answered() private returns (uint256 id) {
        id = openLineDispute();
        answerAs(bob, id);
    }

    function voting() private returns (uint256 id, address[] memory committee) {
        id = answered();
        committee = threeJurors(id);
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
        isPhase(id, IDisputes.Phase.Voting);
    }

    function test_withoutVerifiersTheLineIsRejected() public {
        for (uint256 i = 0; i < 40; ++i) {
            vm.prank(jurorAt(i));
            pool.quit();
        }
        uint256 id = answered();
        drawNow(id);
        undecided(id);
    }

    function undecided(uint256 id) private view {
        isPhase(id, IDisputes.Phase.Resolved);
        eq(uint256(disputes.disputeOf(id).verdict), uint256(IDisputes.Verdict.None), "verdict");
        isStatus(1, ISettlement.Status.Rejected);
        check(!isDisputed(1, 0), "let go");
        eq(registry.nodeOf(alice).stake, STAKE, "challenger");
        eq(registry.nodeOf(bob).stake, STAKE, "accused");
        nothingLocked(alice);
        nothingLocked(bob);
    }

    /// @dev Whatever the votes: half of the loser's burns, half of what bad jurors lose goes to the good ones, the fee
    /// is the same for both verdicts, and nothing stays here.
    function testFuzz_everyWeiOfAVerdict(bool guilty, uint256 wrong, bytes32 hash) public {
        vm.assume(hash != 0);
        uint256 id = answered();
        vm.roll(disputes.disputeOf(id).drawBlock + 1);
        vm.setBlockhash(disputes.disputeOf(id).drawBlock, hash);
        uint256 supply = r1.totalSupply();
        judge(id, guilty ? 2 : bound(wrong, 0, 1), guilty ? bound(wrong, 0, 1) : 2);
        IDisputes.Verdict verdict = disputes.disputeOf(id).verdict;
        vm.assume(verdict == (guilty ? IDisputes.Verdict.Guilty : IDisputes.Verdict.Innocent));
        afterAppealTime(id);
        uint256 owed = guilty ? PENALTY : BOND;
        (uint256 good, uint256 bad) = seats(id, verdict);
        uint256 each = (good * FEE + bad * JUROR_STAKE / 2) / good;
        paidOut(id, verdict, each);
        eq(r1.balanceOf(guilty ? alice : bob), owed / 2 + bad * JUROR_STAKE / 2 - good * each, "winner");
        uint256 settlersBond = guilty ? BASE_BOND : 0;
        eq(supply - r1.totalSupply(), owed / 2 + bad * JUROR_STAKE / 2 + settlersBond, "burned");
        eq(registry.nodeOf(guilty ? bob : alice).stake, STAKE - owed - settlersBond, "loser");
        eq(registry.nodeOf(guilty ? alice : bob).stake, STAKE, "winner keeps all");
        eq(r1.balanceOf(address(disputes)), 0, "nothing stays here");
        isStatus(1, guilty ? ISettlement.Status.Rejected : ISettlement.Status.Pending);
        nothingLocked(alice);
        nothingLocked(bob);
    }

    function seats(uint256 id, IDisputes.Verdict verdict) private view returns (uint256 good, uint256 bad) {
        address[] memory committee = disputes.committeeOf(id, 0);
        for (uint256 i = 0; i < committee.length; ++i) {
            IDisputes.Ballot memory ballot = disputes.ballotOf(id, 0, committee[i]);
            if (ballot.vote == verdict) good += ballot.seats;
            else bad += ballot.seats;
        }
    }

    function paidOut(uint256 id, IDisputes.Verdict verdict, uint256 each) private view {
        address[] memory committee = disputes.committeeOf(id, 0);
        for (uint256 i = 0; i < committee.length; ++i) {
            IDisputes.Ballot memory ballot = disputes.ballotOf(id, 0, committee[i]);
            bool good = ballot.vote == verdict;
            eq(r1.balanceOf(committee[i]), good ? ballot.seats * each : 0, "juror is paid");
            eq(registry.nodeOf(committee[i]).stake, STAKE - (good ? 0 : ballot.seats * JUROR_STAKE), "or slashed");
            onlyPoolHolds(committee[i]);
        }
    }

    /// @dev A committee of three different jurors, so that exactly one can say guilty and one innocent.
    function test_aTieIsNoMajorityAndAnotherCommitteeSits() public {
        uint256 id = answered();
        address[] memory committee = threeJurors(id);
        vote(id, committee, 1, 1);
        vm.warp(disputes.disputeOf(id).revealUntil);
        uint256 drawBlock = block.number + 2;
        vm.expectEmit(address(disputes));
        emit IDisputes.CommitteeRedrawn(id, drawBlock);
        disputes.tally(id);
        judge(id, 3, 0);
        afterAppealTime(id);
        isStatus(1, ISettlement.Status.Rejected);
        // One of the first committee was silent and one wrong: both lose; the third was right.
        eq(registry.nodeOf(committee[0]).stake, STAKE, "right");
        eq(registry.nodeOf(committee[1]).stake, STAKE - JUROR_STAKE, "wrong");
        eq(registry.nodeOf(committee[2]).stake, STAKE - JUROR_STAKE, "silent");
    }

    function threeJurors(uint256 id) private returns (address[] memory committee) {
        uint256 drawBlock = disputes.disputeOf(id).drawBlock;
        vm.roll(drawBlock + 1);
        for (uint256 nth = 0; committee.length != 3; ++nth) {
            bytes32 hash = keccak256(abi.encode(nth));
            vm.setBlockhash(drawBlock, hash);
            bytes32 what = keccak256(abi.encode(address(disputes), id, 0));
            (committee,) = pool.drawOn(drawBlock, what, 3, new address[](0));
        }
        disputes.draw(id);
        return disputes.committeeOf(id, 0);
    }

    function testFuzz_withoutAQuorumTwiceNothingIsDecided(bool secondTies) public {
        uint256 id = answered();
        address[] memory committee = threeJurors(id);
        vote(id, committee, 1, 0);
        vm.warp(disputes.disputeOf(id).revealUntil);
        disputes.tally(id);
        isPhase(id, IDisputes.Phase.Drawing);
        if (secondTies) {
            uint256 id_ = id;
            address[] memory second = drawNow(id_);
            vote(id_, second, 0, 0);
            vm.warp(disputes.disputeOf(id_).revealUntil);
            disputes.tally(id_);
        } else {
            judge(id, 0, 0);
        }
        undecided(id);
        eq(registry.nodeOf(committee[0]).stake, STAKE, "spoke");
        eq(registry.nodeOf(committee[1]).stake, STAKE - JUROR_STAKE, "was silent");
        eq(registry.nodeOf(committee[2]).stake, STAKE - JUROR_STAKE, "was silent");
        eq(r1.balanceOf(committee[0]) + r1.balanceOf(address(disputes)), 0, "what they lost is burned");
    }

    /// @dev A loser in debt leaves less than the fees: what there is is shared, and the dispute ends.
    function testFuzz_aLoserWithoutStakeEndsTheDisputeToo(uint256 left) public {
        uint256 id = answered();
        judge(id, 3, 0);
        left = bound(left, 0, 2 * PENALTY);
        registry.slash(bob, STAKE - left, address(0), 0);
        afterAppealTime(id);
        isPhase(id, IDisputes.Phase.Resolved);
        eq(registry.nodeOf(bob).debt, left < PENALTY + BASE_BOND ? PENALTY + BASE_BOND - left : 0, "debt");
        uint256 paid = r1.balanceOf(alice);
        address[] memory committee = disputes.committeeOf(id, 0);
        for (uint256 i = 0; i < committee.length; ++i) {
            paid += r1.balanceOf(committee[i]);
        }
        eq(paid, (left < PENALTY ? left : PENALTY) / 2, "half of what there was");
        eq(r1.balanceOf(address(disputes)), 0, "nothing stays here");
    }

    function testFuzz_onlyJurorsVote(address caller) public {
        (uint256 id, address[] memory committee) = voting();
        for (uint256 i = 0; i < committee.length; ++i) {
            vm.assume(caller != committee[i]);
        }
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
        if (disputes.disputeOf(id).phase == IDisputes.Phase.Decided) afterAppealTime(id);
        check(wealth() < before, "poorer");
    }

    function wealth() private view returns (uint256 total) {
        total = registry.nodeOf(alice).stake + registry.nodeOf(bob).stake + r1.balanceOf(alice) + r1.balanceOf(bob);
        for (uint256 i = 0; i < 40; ++i) {
            total += registry.nodeOf(jurorAt(i)).stake + r1.balanceOf(jurorAt(i));
        }
    }

    function test_twoDisputesOnOneLineEndEachByItself() public {
        uint256 one = openLineDispute();
        vm.prank(carol);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.AlreadyOpen.selector, keccak256(abi.encode(1, 0))));
        disputes.challengeLine(1, 0, EVIDENCE);
        vm.prank(carol);
        uint256 two = disputes.challengeLine(1, 0, keccak256("more evidence"));
        skip(ANSWER);
        disputes.resolve(one);
        check(isDisputed(1, 0), "one left");
        disputes.resolve(two);
        eq(registry.nodeOf(bob).stake, STAKE - PENALTY - BASE_BOND, "nobody pays twice for one line");
        check(!isDisputed(1, 0), "none left");
        isStatus(1, ISettlement.Status.Rejected);
        nothingLocked(alice);
        nothingLocked(bob);
        nothingLocked(carol);
    }

    function testFuzz_stepsOutOfTurnAreRefused(address caller) public {
        uint256 id = openLineDispute();
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
