// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "../src/interfaces/IJobEscrow.sol";
import { EscrowFixture } from "./helpers/EscrowFixture.sol";

/// @dev A job's end: closed, refunded, and what comes back later.
contract JobRefundTest is EscrowFixture {
    /// @dev Restored money is the job's again, closed or refunded as it may be, and starts no grace.
    function testFuzz_whatIsRestoredCanBeRefunded(uint256 paid, uint256 back, bool refunded) public {
        paid = bound(paid, 1, 100);
        back = bound(back, 1, paid);
        bytes32 jobId = create(100, 100);
        escrow.reserve(jobId, paid, clock());
        escrow.pay(jobId, paid);
        vm.prank(ALICE);
        escrow.close(jobId);
        skip(GRACE);
        if (refunded && paid < 100) escrow.refund(jobId);
        vm.startPrank(REWARDS);
        money.transfer(address(escrow), back);
        escrow.restore(jobId, back);
        vm.stopPrank();
        escrow.refund(jobId);
        eq(money.balanceOf(ALICE), 100 - paid + back, "refunded");
        eq(escrow.jobOf(jobId).refunded, 100 - paid + back, "books");
        eq(money.balanceOf(address(escrow)), 0, "nothing is left");
    }

    function testFuzz_onlyTheRewardsContractRestores(address caller) public {
        vm.assume(caller != REWARDS);
        bytes32 jobId = create(100, 100);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotRewards.selector, caller));
        escrow.restore(jobId, 1);
    }

    function testFuzz_refundAfterTheGrace(uint256 amount, uint256 reserved, uint256 early, address caller) public {
        amount = bound(amount, 2, type(uint96).max);
        reserved = bound(reserved, 0, amount - 1);
        early = bound(early, 0, GRACE - 1);
        bytes32 jobId = create(amount, type(uint96).max);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.JobIsOpen.selector, jobId));
        escrow.refund(jobId);
        vm.prank(ALICE);
        escrow.close(jobId);
        uint256 refundableAt = block.timestamp + GRACE;
        skip(early);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.GraceNotOver.selector, refundableAt));
        escrow.refund(jobId);
        escrow.reserve(jobId, reserved, clock());
        escrow.pay(jobId, reserved);
        vm.warp(refundableAt);
        vm.prank(caller);
        eq(escrow.refund(jobId), amount - reserved, "refund");
        eq(money.balanceOf(ALICE), amount - reserved, "submitter's balance");
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NothingToRefund.selector, jobId));
        escrow.refund(jobId);
    }

    /// @dev What was promised is not refunded, and its line does not hold the rest.
    function testFuzz_refundsLeaveEveryPromise(uint256 amount, uint256 reserved, uint256 wait, bool paid) public {
        amount = bound(amount, 2, type(uint96).max);
        reserved = bound(reserved, 1, amount - 1);
        bytes32 jobId = create(amount, type(uint96).max);
        escrow.reserve(jobId, reserved, clock());
        vm.prank(ALICE);
        escrow.close(jobId);
        skip(GRACE + bound(wait, 0, 365 days));
        escrow.refund(jobId);
        eq(money.balanceOf(ALICE), amount - reserved, "the rest");
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NothingToRefund.selector, jobId));
        escrow.refund(jobId);
        if (paid) {
            escrow.pay(jobId, reserved);
            eq(money.balanceOf(REWARDS), reserved, "paid");
            return;
        }
        escrow.unreserve(jobId, reserved);
        skip(GRACE);
        escrow.refund(jobId);
        eq(money.balanceOf(ALICE), amount, "all of it, after the grace anew");
    }

    /// @dev Money that a rejected line gives back can be promised anew for a whole grace, and only then refunded.
    function testFuzz_aRejectionStartsTheGraceAnew(uint256 reserved, uint256 late, uint256 wait) public {
        reserved = bound(reserved, 1, 100);
        bytes32 jobId = create(100, 100);
        escrow.reserve(jobId, reserved, clock());
        vm.prank(ALICE);
        escrow.close(jobId);
        skip(bound(late, PERIOD, 365 days));
        escrow.unreserve(jobId, reserved);
        uint256 refundableAt = block.timestamp + GRACE;
        skip(bound(wait, 0, GRACE - 1));
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.GraceNotOver.selector, refundableAt));
        escrow.refund(jobId);
        escrow.reserve(jobId, reserved, clock());
        vm.warp(refundableAt);
        escrow.pay(jobId, reserved);
        if (reserved < 100) escrow.refund(jobId);
        eq(money.balanceOf(ALICE), 100 - reserved, "what was not earned");
    }

    /// @dev No wish to be paid nothing keeps a submitter from his money.
    function test_aLineOfNothingDoesNotStartTheGraceAnew() public {
        bytes32 jobId = create(100, 100);
        escrow.reserve(jobId, 0, clock());
        vm.prank(ALICE);
        escrow.close(jobId);
        skip(GRACE);
        escrow.unreserve(jobId, 0);
        eq(escrow.refund(jobId), 100, "refunded");
    }

    function testFuzz_thePausedClockHoldsTheRefund(uint256 pause) public {
        pause = bound(pause, GRACE, 365 days);
        bytes32 jobId = create(100, 100);
        uint256 refundableAt = clock() + GRACE;
        vm.prank(ALICE);
        escrow.close(jobId);
        skip(pause);
        paused = pause;
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.GraceNotOver.selector, refundableAt));
        escrow.refund(jobId);
        escrow.reserve(jobId, 1, clock());
    }

    function testFuzz_onlyTheSubmitterCloses(address caller) public {
        vm.assume(caller != ALICE);
        bytes32 jobId = create(100, 100);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotSubmitter.selector, jobId, caller));
        escrow.close(jobId);
    }

    function test_closeOnceOnly() public {
        bytes32 jobId = create(100, 100);
        vm.startPrank(ALICE);
        escrow.close(jobId);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.JobIsClosed.selector, jobId));
        escrow.close(jobId);
        vm.stopPrank();
    }

    function testFuzz_nothingIsReservedAfterTheGrace(uint256 late, uint256 amount) public {
        bytes32 jobId = create(100, 100);
        vm.prank(ALICE);
        escrow.close(jobId);
        skip(GRACE - 1);
        escrow.reserve(jobId, 1, clock());
        escrow.pay(jobId, 1);
        skip(bound(late, 1, 365 days));
        uint256 present = clock();
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.JobIsClosed.selector, jobId));
        escrow.reserve(jobId, bound(amount, 0, 99), present);
    }
}
