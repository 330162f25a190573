// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { IProvenance } from "../src/interfaces/IProvenance.sol";
import { IRestitution } from "../src/interfaces/IRestitution.sol";
import { IRewards } from "../src/interfaces/IRewards.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";
import { Merkle } from "./helpers/Merkle.sol";

/// @dev Carol's worker made traces 1 to 4 of a line in which she earns 60 and bob 40.
contract RestitutionTest is DisputeFixture {
    uint256 private constant PAY = 60;
    address private worker = vm.addr(WORKER_KEY);
    ISettlement.EpochContent private content;

    function setUp() public override {
        super.setUp();
        fillPool(20);
        ISettlement.EpochContent memory fresh = contentOf(jobId, 100, Merkle.root(leaves()));
        content.epoch = fresh.epoch;
        content.jobs.push(fresh.jobs[0]);
        becomeSettler();
        settlement.proposeEpoch(content);
    }

    function leaves() private view returns (bytes32[] memory all) {
        all = new bytes32[](2);
        (all[0], all[1]) = (Merkle.rewardLeaf(0, carol, PAY), Merkle.rewardLeaf(1, bob, 40));
    }

    function leafOf(uint256 index) private view returns (IRestitution.Leaf memory) {
        return index == 0 ? IRestitution.Leaf(0, carol, PAY) : IRestitution.Leaf(1, bob, 40);
    }

    function traceOf(uint256 trace) private view returns (IProvenance.Trace memory) {
        return IProvenance.Trace(bytes32(trace), worker);
    }

    function proofOf(uint256 trace) private pure returns (bytes32[] memory) {
        return Merkle.proof(Merkle.traces(1, 8), trace - 1);
    }

    function hold(uint256 trace, uint256 index) private {
        restitution.hold(content, 0, traceOf(trace), proofOf(trace), leafOf(index), Merkle.proof(leaves(), index));
    }

    function release(uint256 trace) private {
        restitution.release(content, 0, traceOf(trace), proofOf(trace), leafOf(0), Merkle.proof(leaves(), 0));
    }

    function forfeit(uint256 trace) private returns (uint256) {
        return restitution.forfeit(content, 0, traceOf(trace), proofOf(trace), leafOf(0), Merkle.proof(leaves(), 0));
    }

    function finalise() private {
        skip(WINDOW);
        settlement.finaliseEpoch(content);
    }

    function claim(uint256 index) private returns (uint256) {
        IRestitution.Leaf memory leaf = leafOf(index);
        bytes32[] memory proof = Merkle.proof(leaves(), index);
        return rewards.claim(IRewards.Claim(1, jobId, index, leaf.account, leaf.amount, proof));
    }

    function isHeld() private view returns (bool) {
        return rewards.isHeld(1, jobId, Merkle.root(leaves()), 0);
    }

    function accuse(uint256 trace) private returns (uint256 id) {
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 4), trace - 1);
        IDisputes.Submission memory submission = submissionOf(WORKER_KEY, 1);
        vm.prank(alice);
        return disputes.challengeTrace(submission, bytes32(trace), proof, EVIDENCE);
    }

    function convict(uint256 trace) private {
        uint256 id = accuse(trace);
        skip(ANSWER);
        disputes.resolve(id);
    }

    function acquit(uint256 id) private {
        judge(id, 0, 3);
        afterAppealTime(id);
    }

    /// @dev Held before or after the line is paid; nobody else's pay is.
    function testFuzz_anAccusedTracesPayIsHeld(bool paidFirst) public {
        if (paidFirst) finalise();
        uint256 id = accuse(1);
        answerAs(carol, id);
        hold(1, 0);
        if (!paidFirst) finalise();
        vm.expectRevert(abi.encodeWithSelector(IRewards.LeafHeld.selector, 1, jobId, 0));
        claim(0);
        eq(claim(1), 40, "bob's pay");
        vm.expectRevert(abi.encodeWithSelector(IRestitution.TraceNotCleared.selector, bytes32(uint256(1))));
        this.tryRelease(1);
        acquit(id);
        release(1);
        eq(claim(0), PAY, "once cleared");
    }

    function tryRelease(uint256 trace) external {
        release(trace);
    }

    function tryHold(uint256 trace, uint256 index) external {
        hold(trace, index);
    }

    function tryForfeit(uint256 trace) external {
        forfeit(trace);
    }

    function test_aBatchPassesOverWhatIsHeld() public {
        accuse(1);
        hold(1, 0);
        finalise();
        IRewards.Claim[] memory claims = new IRewards.Claim[](2);
        claims[0] = IRewards.Claim(1, jobId, 0, carol, PAY, Merkle.proof(leaves(), 0));
        claims[1] = IRewards.Claim(1, jobId, 1, bob, 40, Merkle.proof(leaves(), 1));
        uint256[] memory amounts = rewards.claimMany(claims);
        eq(amounts[0], 0, "held");
        eq(amounts[1], 40, "bob's pay");
        eq(money.balanceOf(carol), 0, "nothing");
    }

    /// @dev The money is the job's again, and the trace's owner never gets it, held before or not.
    function testFuzz_aConvictedTracesPayGoesBackToTheJob(bool held) public {
        uint256 before = escrow.jobOf(jobId).available;
        convict(1);
        if (held) hold(1, 0);
        finalise();
        eq(forfeit(1), PAY, "forfeited");
        eq(escrow.jobOf(jobId).available, before + PAY, "the job's");
        eq(money.balanceOf(address(escrow)), before + PAY, "and there");
        eq(claim(0), 0, "counts as claimed");
        eq(forfeit(1), 0, "once");
        eq(claim(1), 40, "bob's pay");
        eq(money.balanceOf(address(rewards)), 0, "nothing is left");
        eq(escrow.jobOf(jobId).available, before + PAY, "still");
    }

    function test_whatWasClaimedBeforeIsGone() public {
        finalise();
        claim(0);
        convict(1);
        uint256 before = escrow.jobOf(jobId).available;
        hold(1, 0);
        eq(forfeit(1), 0, "nothing");
        eq(escrow.jobOf(jobId).available, before, "no money from elsewhere");
        eq(rewards.leftOf(1, jobId, Merkle.root(leaves())), 40, "bob's pay is there");
    }

    function test_nothingIsForfeitedBeforeTheLineIsPaid() public {
        convict(1);
        vm.expectPartialRevert(IRewards.InvalidRewardProof.selector);
        this.tryForfeit(1);
        finalise();
        forfeit(1);
    }

    function test_aRejectedLineHasNothingToHold() public {
        accuse(1);
        settlement.reject(1, 0);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.TraceNotInLine.selector, bytes32(uint256(1))));
        this.tryHold(1, 0);
    }

    /// @dev A closed and refunded job gets it all the same, and its submitter asks again.
    function test_aClosedJobsSubmitterIsRefundedAgain() public {
        finalise();
        vm.prank(alice);
        escrow.close(jobId);
        skip(GRACE);
        escrow.refund(jobId);
        uint256 before = money.balanceOf(alice);
        convict(1);
        forfeit(1);
        eq(escrow.refund(jobId), PAY, "refunded");
        eq(money.balanceOf(alice), before + PAY, "the submitter's");
    }

    function testFuzz_whatNobodyAccusesIsNotHeld(uint256 trace) public {
        trace = bound(trace, 1, 8);
        bytes32 digest = bytes32(trace);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.TraceNotAccused.selector, digest));
        this.tryHold(trace, 0);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.TraceNotConvicted.selector, digest));
        this.tryForfeit(trace);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.NotHeld.selector, 0, digest));
        this.tryRelease(trace);
    }

    /// @dev A dispute over the line accuses none of its traces.
    function test_aDisputedLineHoldsNoLeaf() public {
        vm.prank(alice);
        disputes.challengeLine(1, 0, EVIDENCE);
        vm.expectPartialRevert(IRestitution.TraceNotAccused.selector);
        this.tryHold(1, 0);
    }

    function test_nobodyElsesPayIsHeldOrForfeited() public {
        convict(1);
        finalise();
        vm.expectRevert(abi.encodeWithSelector(IRestitution.NotAccountable.selector, worker, bob));
        this.tryHold(1, 1);
        IProvenance.Trace memory trace = traceOf(1);
        bytes32[] memory traceProof = proofOf(1);
        bytes32[] memory leafProof = Merkle.proof(leaves(), 1);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.NotAccountable.selector, worker, bob));
        restitution.forfeit(content, 0, trace, traceProof, leafOf(1), leafProof);
        eq(claim(1), 40, "bob's pay");
    }

    /// @dev Whoever signs for another's trace and is convicted forfeits his own pay, not the trace's owner's.
    function test_nobodyTaintsAnothersPay() public {
        bind(bob, 4711);
        IDisputes.Submission memory copied = submissionOf(4711, 1);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 4), 0);
        vm.prank(alice);
        uint256 id = disputes.challengeTrace(copied, bytes32(uint256(1)), proof, EVIDENCE);
        skip(ANSWER);
        disputes.resolve(id);
        vm.expectPartialRevert(IRestitution.TraceNotAccused.selector);
        this.tryHold(1, 0);
        IProvenance.Trace memory theirs = IProvenance.Trace(bytes32(uint256(1)), vm.addr(4711));
        bytes32[] memory traceProof = proofOf(1);
        bytes32[] memory leafProof = Merkle.proof(leaves(), 0);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.NotAccountable.selector, vm.addr(4711), carol));
        restitution.hold(content, 0, theirs, traceProof, leafOf(0), leafProof);
    }

    /// @dev An innocent trace, or one acquitted, sets nothing free that another one holds.
    function test_aHoldIsItsTracesAlone() public {
        uint256 one = accuse(1);
        answerAs(carol, one);
        uint256 two = accuse(2);
        hold(1, 0);
        hold(2, 0);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.AlreadyHeld.selector, 0, bytes32(uint256(2))));
        this.tryHold(2, 0);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.NotHeld.selector, 0, bytes32(uint256(3))));
        this.tryRelease(3);
        acquit(one);
        release(1);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.NotHeld.selector, 0, bytes32(uint256(1))));
        this.tryRelease(1);
        check(isHeld(), "by the other");
        eq(restitution.holdsOn(1, jobId, Merkle.root(leaves()), 0), 1, "one hold");
        finalise();
        disputes.resolve(two);
        vm.expectPartialRevert(IRestitution.TraceNotCleared.selector);
        this.tryRelease(2);
        eq(forfeit(2), PAY, "forfeited");
    }

    /// @dev A worker that is sold does not take the guilt along, nor does the leaf stay stuck.
    function test_aSoldWorkersPayIsForfeitedStill() public {
        finalise();
        accuse(1);
        hold(1, 0);
        vm.prank(carol);
        registry.unbindWorker(worker);
        skip(UNBONDING);
        bind(bob, WORKER_KEY);
        disputes.resolve(1);
        vm.expectPartialRevert(IRestitution.NotAccountable.selector);
        this.tryForfeitOther();
        eq(forfeit(1), PAY, "carol's");
        eq(claim(0), 0, "gone");
    }

    function tryForfeitOther() external {
        IRestitution.Leaf memory wrong = IRestitution.Leaf(0, carol, PAY);
        ISettlement.EpochContent memory other = contentOf(jobId, PAY, Merkle.rewardLeaf(0, carol, PAY));
        settlement.proposeEpoch(other);
        restitution.forfeit(other, 0, traceOf(1), proofOf(1), wrong, new bytes32[](0));
    }

    function testFuzz_proofsMustHold(bytes32 digest, uint256 index, address account, uint256 amount) public {
        accuse(1);
        vm.assume(uint256(digest) > 8 && (index > 1 || account == address(0)));
        bytes32[] memory traceProof = proofOf(1);
        bytes32[] memory leafProof = Merkle.proof(leaves(), 0);
        IProvenance.Trace memory trace = IProvenance.Trace(digest, worker);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.TraceNotInLine.selector, digest));
        restitution.hold(content, 0, trace, traceProof, leafOf(0), leafProof);
        trace = traceOf(1);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.LeafNotInLine.selector, index));
        restitution.hold(content, 0, trace, traceProof, IRestitution.Leaf(index, account, amount), leafProof);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.TraceNotInLine.selector, bytes32(uint256(1))));
        restitution.hold(content, 1, trace, traceProof, leafOf(0), leafProof);
        content.jobs[0].rewardsRoot = Merkle.rewardLeaf(0, carol, PAY);
        vm.expectRevert(abi.encodeWithSelector(IRestitution.TraceNotInLine.selector, bytes32(uint256(1))));
        restitution.hold(content, 0, trace, traceProof, leafOf(0), new bytes32[](0));
    }
}
