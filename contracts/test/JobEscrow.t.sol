// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "../src/interfaces/IJobEscrow.sol";
import { JobEscrow } from "../src/JobEscrow.sol";
import { TestBase } from "./helpers/TestBase.sol";
import { BlocklistToken, PlainToken } from "./helpers/Tokens.sol";

/// @dev Here this contract plays the settlement.
contract JobEscrowTest is TestBase {
    uint256 private constant GRACE = 2 days;
    uint256 private constant PERIOD = 1 days;
    address private constant REWARDS = address(0x4E3A4D);
    address private constant ALICE = address(0xA11CE);

    JobEscrow private escrow;
    PlainToken private money;
    uint256 private paused;

    function setUp() public {
        vm.warp(1_800_000_000);
        escrow = new JobEscrow(REWARDS, GRACE, PERIOD);
        money = new PlainToken();
    }

    /// @notice As the settlement has it: Unix time without the pauses.
    function clock() public view returns (uint256) {
        return block.timestamp - paused;
    }

    function create(uint256 amount, uint256 cap) private returns (bytes32 jobId) {
        money.mint(ALICE, amount);
        vm.startPrank(ALICE);
        money.approve(address(escrow), type(uint256).max);
        jobId = escrow.createJob(address(money), amount, cap, keccak256("spec"));
        vm.stopPrank();
    }

    function testFuzz_createFunds(uint256 amount, uint256 cap) public {
        amount = bound(amount, 1, type(uint128).max);
        cap = bound(cap, 1, type(uint96).max);
        IJobEscrow.Job memory job = escrow.jobOf(create(amount, cap));
        eq(job.submitter, ALICE, "submitter");
        eq(job.token, address(money), "token");
        eq(job.available, amount, "available");
        eq(job.funded, amount, "funded");
        eq(job.epochCap, cap, "cap");
        eq(job.specDigest, keccak256("spec"), "spec");
        eq(money.balanceOf(address(escrow)), amount, "balance");
    }

    function testFuzz_jobIdsAreDistinctAndForeseeable(uint8 count) public {
        for (uint256 i = 0; i < bound(count, 1, 10); ++i) {
            bytes32 expected = keccak256(abi.encode(block.chainid, address(escrow), ALICE, i));
            eq(escrow.jobIdOf(ALICE, i), expected, "foreseen");
            eq(create(1, 1), expected, "given");
        }
    }

    function testFuzz_createRefusesWhatDoesNotFit(uint256 amount, uint256 cap) public {
        amount = bound(amount, uint256(type(uint128).max) + 1, type(uint256).max);
        cap = bound(cap, uint256(type(uint96).max) + 1, type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.AmountTooLarge.selector, amount));
        escrow.createJob(address(money), amount, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.AmountTooLarge.selector, cap));
        escrow.createJob(address(money), 1, cap, 0);
    }

    function test_createRefusesZero() public {
        vm.expectRevert(IJobEscrow.ZeroAmount.selector);
        escrow.createJob(address(money), 0, 1, 0);
        vm.expectRevert(IJobEscrow.ZeroAmount.selector);
        escrow.createJob(address(money), 1, 0, 0);
    }

    function testFuzz_topUpByAnyone(address payer, uint256 amount) public {
        amount = bound(amount, 1, type(uint128).max - 100);
        vm.assume(payer != address(0) && payer != address(escrow));
        bytes32 jobId = create(100, 100);
        money.mint(payer, amount);
        vm.startPrank(payer);
        money.approve(address(escrow), amount);
        escrow.topUp(jobId, amount);
        vm.stopPrank();
        eq(escrow.jobOf(jobId).available, 100 + amount, "available");
        eq(escrow.jobOf(jobId).funded, 100 + amount, "funded");
    }

    function test_topUpRefusals() public {
        bytes32 jobId = create(100, 100);
        vm.expectRevert(IJobEscrow.ZeroAmount.selector);
        escrow.topUp(jobId, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.AmountTooLarge.selector, type(uint128).max));
        escrow.topUp(jobId, type(uint128).max);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.UnknownJob.selector, bytes32(0)));
        escrow.topUp(0, 1);
        vm.prank(ALICE);
        escrow.close(jobId);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.JobIsClosed.selector, jobId));
        escrow.topUp(jobId, 1);
    }

    function testFuzz_reserveWithinCapAndFunds(uint256 amount, uint256 cap, uint256 wanted) public {
        amount = bound(amount, 1, type(uint128).max);
        cap = bound(cap, 1, type(uint96).max);
        bytes32 jobId = create(amount, cap);
        if (wanted > cap) {
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.EpochCapExceeded.selector, jobId, wanted, cap));
            escrow.reserve(jobId, wanted, clock());
        } else if (wanted > amount) {
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.InsufficientFunds.selector, jobId, wanted, amount));
            escrow.reserve(jobId, wanted, clock());
        } else {
            escrow.reserve(jobId, wanted, clock());
            eq(escrow.jobOf(jobId).reserved, wanted, "reserved");
            eq(escrow.jobOf(jobId).available, amount - wanted, "available");
        }
    }

    function test_reserveOfAnUnknownJobIsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.UnknownJob.selector, bytes32(uint256(1))));
        escrow.reserve(bytes32(uint256(1)), 0, block.timestamp);
    }

    function testFuzz_payMovesWhatWasReserved(uint256 amount, uint256 reserved) public {
        amount = bound(amount, 1, type(uint96).max);
        reserved = bound(reserved, 0, amount);
        bytes32 jobId = create(amount, type(uint96).max);
        escrow.reserve(jobId, reserved, clock());
        (bool paid, address token) = escrow.pay(jobId, reserved);
        check(paid && token == address(money), "paid");
        eq(money.balanceOf(REWARDS), reserved, "rewards");
        eq(escrow.jobOf(jobId).reserved, 0, "reserved");
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotReserved.selector, jobId, 1, 0));
        escrow.pay(jobId, 1);
    }

    /// @dev What the token refuses to move stays promised, and can be paid later or taken back.
    function testFuzz_whatIsRefusedStaysReserved(uint256 reserved, bool later) public {
        BlocklistToken picky = new BlocklistToken();
        money = PlainToken(address(picky));
        bytes32 jobId = create(100, 100);
        reserved = bound(reserved, 1, 100);
        escrow.reserve(jobId, reserved, clock());
        picky.setBlocked(REWARDS, true);
        (bool paid,) = escrow.pay(jobId, reserved);
        check(!paid, "refused");
        eq(escrow.jobOf(jobId).reserved, reserved, "reserved");
        eq(money.balanceOf(address(escrow)), 100, "nothing moved");
        picky.setBlocked(REWARDS, false);
        if (later) escrow.pay(jobId, reserved);
        else escrow.unreserve(jobId, reserved);
        eq(money.balanceOf(REWARDS), later ? reserved : 0, "rewards");
        eq(escrow.jobOf(jobId).available, later ? 100 - reserved : 100, "available");
    }

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

    function testFuzz_unreserveGivesBack(uint256 amount, uint256 reserved) public {
        amount = bound(amount, 1, type(uint96).max);
        reserved = bound(reserved, 0, amount);
        bytes32 jobId = create(amount, type(uint96).max);
        escrow.reserve(jobId, reserved, clock());
        escrow.unreserve(jobId, reserved);
        eq(escrow.jobOf(jobId).available, amount, "available");
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotReserved.selector, jobId, 1, 0));
        escrow.unreserve(jobId, 1);
    }

    function test_oneJobNeverSpendsAnothersMoney() public {
        bytes32 poor = create(10, 1000);
        create(1000, 1000);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.InsufficientFunds.selector, poor, 11, 10));
        escrow.reserve(poor, 11, clock());
    }

    function testFuzz_onlySettlementMovesMoney(address caller) public {
        vm.assume(caller != address(this));
        bytes32 jobId = create(100, 100);
        escrow.reserve(jobId, 50, clock());
        bytes memory refusal = abi.encodeWithSelector(IJobEscrow.NotSettlement.selector, caller);
        vm.startPrank(caller);
        vm.expectRevert(refusal);
        escrow.reserve(jobId, 1, clock());
        vm.expectRevert(refusal);
        escrow.unreserve(jobId, 1);
        vm.expectRevert(refusal);
        escrow.pay(jobId, 1);
        vm.stopPrank();
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

    function testFuzz_refundsWaitForEveryPromise(uint256 amount, uint256 reserved, uint256 wait) public {
        amount = bound(amount, 2, type(uint96).max);
        reserved = bound(reserved, 1, amount - 1);
        bytes32 jobId = create(amount, type(uint96).max);
        escrow.reserve(jobId, reserved, clock());
        vm.prank(ALICE);
        escrow.close(jobId);
        skip(GRACE + bound(wait, 0, 365 days));
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.StillReserved.selector, jobId, reserved));
        escrow.refund(jobId);
        escrow.pay(jobId, reserved);
        escrow.refund(jobId);
        eq(money.balanceOf(REWARDS), reserved, "paid");
        eq(money.balanceOf(ALICE), amount - reserved, "the rest");
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

    /// @dev However it is cut into pieces: in one moment no more than a cap, and in any time no more than the cap with
    /// what that time refills.
    function testFuzz_theCapIsOverTime(uint256 cap, uint256[16] memory wanted, uint256[16] memory waits) public {
        cap = bound(cap, 1, type(uint96).max / 100);
        bytes32 jobId = create(50 * cap, cap);
        uint256 start = clock();
        uint256 total = 0;
        for (uint256 i = 0; i < 16; ++i) {
            uint256 allowance = escrow.jobOf(jobId).allowance;
            uint256 amount = bound(wanted[i], 0, cap);
            uint256 present = clock();
            if (amount > allowance) {
                vm.expectPartialRevert(IJobEscrow.EpochCapExceeded.selector);
                escrow.reserve(jobId, amount, present);
                amount = allowance;
            }
            escrow.reserve(jobId, amount, present);
            total += amount;
            atMost(total * PERIOD, cap * (PERIOD + present - start), "cap over time");
            skip(bound(waits[i], 0, PERIOD / 4));
        }
        skip(PERIOD);
        eq(escrow.jobOf(jobId).allowance, cap, "refills to one cap");
        escrow.reserve(jobId, cap, clock());
        eq(escrow.jobOf(jobId).allowance, 0, "and no further");
    }

    function testFuzz_periodsAreBounded(uint256 grace, uint256 period) public {
        bool good = grace <= 30 days && period != 0 && period <= 30 days;
        if (!good) vm.expectRevert(IJobEscrow.ParameterOutOfBounds.selector);
        new JobEscrow(REWARDS, grace, period);
    }
}
