// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { IRewards } from "../src/interfaces/IRewards.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";
import { Merkle } from "./helpers/Merkle.sol";

/// @dev Ways in which one job's line once cost others their pay, or their time: with the real court, none does now.
contract CourtLinesTest is DisputeFixture {
    bytes32 private other;

    function setUp() public override {
        super.setUp();
        other = fund(carol, 100_000, 1000);
        fillPool(40);
    }

    function twoLines() private returns (ISettlement.EpochContent memory content) {
        bytes32[] memory jobs = new bytes32[](2);
        (jobs[0], jobs[1]) = (jobId, other);
        content = contentOf(jobs, 100);
        vm.prank(bob);
        settlement.proposeEpoch(content);
    }

    function challenge(uint256 epoch, uint256 line) private returns (uint256) {
        vm.prank(alice);
        return disputes.challengeLine(epoch, line, EVIDENCE);
    }

    /// @dev A line that takes one wei may name everybody's pay: it brings in one wei, and no claim on any other pot.
    function testFuzz_aTinyLineNamesNobodysPay(uint256 named) public {
        named = bound(named, 2, type(uint256).max);
        settle(other, 1000, keccak256("everybody's unclaimed pay"));
        bytes32 root = Merkle.rewardLeaf(0, bob, named);
        ISettlement.EpochContent memory content = contentOf(jobId, 1, root);
        vm.prank(bob);
        settlement.proposeEpoch(content);
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        vm.expectRevert(abi.encodeWithSelector(IRewards.PotExceeded.selector, content.epoch, jobId, named, 1));
        rewards.claim(IRewards.Claim(content.epoch, jobId, 0, bob, named, new bytes32[](0)));
        eq(money.balanceOf(address(rewards)), 1001, "all of it is there");
    }

    /// @dev As long as one line's dispute lasts, the other line, and later epochs of both jobs, are paid.
    function testFuzz_aDisputeHoldsOneLineAlone(bool first) public {
        uint256 line = first ? 0 : 1;
        ISettlement.EpochContent memory content = twoLines();
        ISettlement.EpochContent memory next = twoLines();
        uint256 id = challenge(content.epoch, line);
        answerAs(bob, id);
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        settlement.finaliseEpoch(next);
        isStatus(content.epoch, line, ISettlement.Status.Pending);
        isStatus(content.epoch, 1 - line, ISettlement.Status.Finalised);
        eq(settlement.epochOf(next.epoch).paid, 3, "the next epoch");
        eq(settlement.bondOf(content.epoch), BASE_BOND, "the bond waits for the court");
        judge(id, 0, 3);
        afterAppealTime(id);
        settlement.finaliseEpoch(content);
        isStatus(content.epoch, line, ISettlement.Status.Finalised);
        nothingLocked(bob);
    }

    /// @dev A court without a majority takes its line and nothing else; that is proposed anew and paid.
    function test_noVerdictCostsOneLineAlone() public {
        ISettlement.EpochContent memory content = twoLines();
        ISettlement.EpochContent memory next = twoLines();
        uint256 id = challenge(content.epoch, 0);
        answerAs(bob, id);
        judge(id, 0, 0);
        judge(id, 0, 0);
        isStatus(content.epoch, 0, ISettlement.Status.Rejected);
        isStatus(content.epoch, 1, ISettlement.Status.Pending);
        eq(settlement.epochOf(next.epoch).rejected, 0, "later epochs stand");
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        settlement.finaliseEpoch(next);
        settlement.unwindEpoch(content);
        bytes32 job = content.jobs[0].jobId;
        uint256 anew = settle(job, 100, keccak256("root"));
        eq(rewards.leftOf(anew, job, keccak256("root")), 100, "proposed anew, and paid");
        eq(money.balanceOf(address(rewards)), 400, "all four");
    }

    /// @dev Each line is a case: its own docket, its own penalty; the bond burns with the first conviction, and what is not
    /// paid falls with it.
    function test_everyLineIsACaseOfItsOwn() public {
        ISettlement.EpochContent memory content = twoLines();
        uint256 one = challenge(content.epoch, 0);
        uint256 two = challenge(content.epoch, 1);
        skip(ANSWER);
        disputes.resolve(one);
        eq(settlement.epochOf(content.epoch).rejected, 3, "both lines fell");
        eq(registry.nodeOf(bob).stake, STAKE - PENALTY - BASE_BOND, "one penalty, and the bond");
        check(disputes.lineDocket(content.epoch, 0).convicted, "this line's docket");
        check(!disputes.lineDocket(content.epoch, 1).convicted, "no other");
        disputes.resolve(two);
        eq(registry.nodeOf(bob).stake, STAKE - 2 * PENALTY - BASE_BOND, "the other penalty, and no bond");
        nothingLocked(alice);
        nothingLocked(bob);
        nothingToPay(content);
    }

    /// @dev Partly paid before the conviction: what is paid stays, and can be claimed.
    function test_aConvictionLeavesWhatIsPaid() public {
        bytes32[] memory jobs = new bytes32[](2);
        (jobs[0], jobs[1]) = (jobId, other);
        ISettlement.EpochContent memory content = contentOf(jobs, 100);
        content.jobs[0].rewardsRoot = Merkle.rewardLeaf(0, carol, 100);
        vm.prank(bob);
        settlement.proposeEpoch(content);
        uint256 id = challenge(content.epoch, 1);
        answerAs(bob, id);
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        judge(id, 3, 0);
        afterAppealTime(id);
        isStatus(content.epoch, 0, ISettlement.Status.Finalised);
        isStatus(content.epoch, 1, ISettlement.Status.Rejected);
        check(settlement.suspended(bob), "suspended");
        eq(registry.nodeOf(bob).stake, STAKE - PENALTY - BASE_BOND, "the bond burned");
        bytes32 job = content.jobs[0].jobId;
        eq(rewards.claim(IRewards.Claim(content.epoch, job, 0, carol, 100, new bytes32[](0))), 100, "claimed");
        settlement.unwindEpoch(content);
        isStatus(content.epoch, 1, ISettlement.Status.Unwound);
    }

    /// @dev Neither line's acquittals nor its evidence count for the other.
    function test_anAcquittalIsOneLinesAlone() public {
        ISettlement.EpochContent memory content = twoLines();
        uint256 id = challenge(content.epoch, 0);
        answerAs(bob, id);
        judge(id, 0, 3);
        afterAppealTime(id);
        bytes32 subject = keccak256(abi.encode(content.epoch, 0));
        vm.expectRevert(abi.encodeWithSelector(IDisputes.EvidenceHeard.selector, subject, EVIDENCE));
        vm.prank(carol);
        disputes.challengeLine(content.epoch, 0, EVIDENCE);
        vm.prank(carol);
        id = disputes.challengeLine(content.epoch, 1, EVIDENCE);
        eq(disputes.disputeOf(id).bond, BOND, "not doubled");
        eq(disputes.disputeOf(id).line, 1, "line");
    }
}
