// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { Fixture } from "./helpers/Fixture.sol";

/// @dev Freezing, rejecting and pausing; here this contract plays the disputes contract and the guardian.
contract SettlementFaultsTest is Fixture {
    bytes32 private constant ROOT = keccak256("root");
    bytes32 private jobId;

    function setUp() public override {
        super.setUp();
        becomeSettler();
        jobId = fund(alice, 100_000, 100);
    }

    function testFuzz_aFrozenLineIsNotPaid(uint8 disputes) public {
        uint256 count = bound(disputes, 1, 5);
        ISettlement.EpochContent memory content = propose(jobId, 10, ROOT);
        for (uint256 i = 0; i < count; ++i) {
            settlement.freeze(1, 0);
        }
        skip(WINDOW);
        for (uint256 i = count; i > 0; --i) {
            nothingToPay(content);
            vm.expectEmit(address(settlement));
            emit ISettlement.LineUnfrozen(1, 0, i - 1);
            settlement.unfreeze(1, 0, false);
        }
        vm.expectRevert(abi.encodeWithSelector(ISettlement.LineIsNotFrozen.selector, 1, 0));
        settlement.unfreeze(1, 0, false);
        settlement.finaliseEpoch(content);
    }

    /// @dev The guardian stops a theft that was found after the window; the clock gives the challenger all the time.
    function testFuzz_aKnownTheftIsStoppedUntilItIsPaid(uint256 late) public {
        ISettlement.EpochContent memory content = propose(jobId, 10, ROOT);
        skip(WINDOW + bound(late, 0, 365 days));
        settlement.pause();
        settlement.freeze(1, 0);
        skip(7 days);
        nothingToPay(content);
    }

    function test_onlyPendingLinesAreFrozenOrRejected() public {
        bytes memory refusal = abi.encodeWithSelector(ISettlement.WrongStatus.selector, 1, 0, ISettlement.Status.None);
        vm.expectRevert(refusal);
        settlement.freeze(1, 0);
        vm.expectRevert(refusal);
        settlement.reject(1, 0);
        settle(jobId, 10, ROOT);
        refusal = abi.encodeWithSelector(ISettlement.WrongStatus.selector, 1, 0, ISettlement.Status.Finalised);
        vm.expectRevert(refusal);
        settlement.reject(1, 0);
        vm.expectRevert(refusal);
        settlement.freeze(1, 0);
    }

    function testFuzz_unwindGivesReservesBackOnce(uint256 amount, address caller) public {
        amount = bound(amount, 0, 100);
        ISettlement.EpochContent memory content = propose(jobId, amount, ROOT);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToUnwind.selector, 1));
        settlement.unwindEpoch(content);
        settlement.reject(1, 0);
        isStatus(1, ISettlement.Status.Rejected);
        vm.prank(caller);
        settlement.unwindEpoch(content);
        eq(escrow.jobOf(jobId).available, 100_000, "available");
        isStatus(1, ISettlement.Status.Unwound);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToUnwind.selector, 1));
        settlement.unwindEpoch(content);
    }

    function test_unwindNeedsTheProposedContent() public {
        ISettlement.EpochContent memory content = propose(jobId, 10, ROOT);
        settlement.reject(1, 0);
        content.jobs[0].amount = 100;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongContent.selector, 1));
        settlement.unwindEpoch(content);
    }

    function test_aRejectedLineIsNeverPaid() public {
        ISettlement.EpochContent memory content = propose(jobId, 10, ROOT);
        settlement.reject(1, 0);
        skip(WINDOW);
        nothingToPay(content);
        settlement.unwindEpoch(content);
        nothingToPay(content);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongStatus.selector, 1, 0, ISettlement.Status.Unwound));
        settlement.freeze(1, 0);
    }

    function testFuzz_onlyDisputesFreezesAndRejects(address caller) public {
        vm.assume(caller != address(this));
        propose(jobId, 10, ROOT);
        bytes memory refusal = abi.encodeWithSelector(
            IAccessControl.AccessControlUnauthorizedAccount.selector, caller, settlement.DISPUTES_ROLE()
        );
        vm.startPrank(caller);
        vm.expectRevert(refusal);
        settlement.freeze(1, 0);
        vm.expectRevert(refusal);
        settlement.unfreeze(1, 0, false);
        vm.expectRevert(refusal);
        settlement.reject(1, 0);
        vm.stopPrank();
    }

    function testFuzz_aPauseStopsSettlementForAWeekAtMost(uint256 wait) public {
        wait = bound(wait, 0, 7 days - 1);
        ISettlement.EpochContent memory content = propose(jobId, 10, ROOT);
        ISettlement.EpochContent memory next = contentOf(jobId, 10, ROOT);
        settlement.pause();
        uint256 until = block.timestamp + 7 days;
        skip(wait);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.IsPaused.selector, until));
        settlement.proposeEpoch(next);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.IsPaused.selector, until));
        settlement.finaliseEpoch(content);
        vm.warp(until);
        settlement.proposeEpoch(next);
        skip(WINDOW);
        settlement.finaliseEpoch(content);
    }

    function testFuzz_noPauseFollowsClosely(uint256 wait) public {
        wait = bound(wait, 0, 14 days - 1);
        settlement.pause();
        uint256 free = block.timestamp + 14 days;
        skip(wait);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.PauseCoolingDown.selector, free));
        settlement.pause();
        vm.warp(free);
        settlement.pause();
    }

    function test_guardianAndAdminEndAPause() public {
        settlement.grantRole(settlement.GUARDIAN_ROLE(), bob);
        vm.startPrank(bob);
        settlement.pause();
        settlement.unpause();
        vm.stopPrank();
        propose(jobId, 10, ROOT);
        settlement.renounceRole(settlement.GUARDIAN_ROLE(), address(this));
        skip(7 days);
        vm.prank(bob);
        settlement.pause();
        settlement.unpause();
        propose(jobId, 10, ROOT);
        eq(settlement.pausedUntil(), block.timestamp, "until");
    }

    /// @dev However pauses, waits and early ends follow each other: the clock runs exactly outside of pauses.
    function testFuzz_theClockStandsStillInPauses(uint256[8] memory waits, uint256 ends) public {
        uint256 expected = block.timestamp;
        eq(settlement.clock(), expected, "starts with Unix time");
        for (uint256 i = 0; i < 8; ++i) {
            settlement.pause();
            uint256 slept = bound(waits[i], 0, 20 days);
            skip(slept);
            if (slept > 7 days) expected += slept - 7 days;
            eq(settlement.clock(), expected, "stands still");
            if (slept < 7 days && (ends >> i) & 1 == 1) settlement.unpause();
            else if (slept < 7 days) skip(7 days - slept);
            eq(settlement.clock(), expected, "goes on where it stood");
            skip(7 days);
            expected += 7 days;
            eq(settlement.clock(), expected, "runs");
        }
    }

    function test_whatIsNotPausedIsNotEnded() public {
        vm.expectRevert(ISettlement.NotPaused.selector);
        settlement.unpause();
        settlement.pause();
        skip(7 days);
        vm.expectRevert(ISettlement.NotPaused.selector);
        settlement.unpause();
    }

    function testFuzz_aPauseTakesNothingFromTheWindow(uint256 before) public {
        before = bound(before, 0, WINDOW - 1);
        ISettlement.EpochContent memory content = propose(jobId, 10, ROOT);
        skip(before);
        settlement.pause();
        skip(7 days + WINDOW - before - 1);
        vm.expectPartialRevert(ISettlement.WindowOpen.selector);
        settlement.finaliseEpoch(content);
        skip(1);
        settlement.finaliseEpoch(content);
    }

    function testFuzz_onlyTheGuardianPauses(address caller) public {
        vm.assume(caller != address(this));
        bytes memory refusal = abi.encodeWithSelector(
            IAccessControl.AccessControlUnauthorizedAccount.selector, caller, settlement.GUARDIAN_ROLE()
        );
        vm.prank(caller);
        vm.expectRevert(refusal);
        settlement.pause();
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, bytes32(0))
        );
        settlement.unpause();
    }

    function test_refundsAndWithdrawalsGoOnDuringAPause() public {
        register(bob, MIN_STAKE);
        vm.prank(bob);
        registry.deactivate();
        vm.prank(alice);
        escrow.close(jobId);
        skip(UNBONDING);
        settlement.pause();
        escrow.refund(jobId); // its grace was over before the pause
        vm.prank(bob);
        registry.withdraw();
        eq(money.balanceOf(alice), 100_000, "refunded");
        eq(r1.balanceOf(bob), MIN_STAKE, "withdrawn");
    }
}
