// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "../src/interfaces/IJobEscrow.sol";
import { JobEscrow } from "../src/JobEscrow.sol";
import { EscrowFixture } from "./helpers/EscrowFixture.sol";
import { BlocklistToken, PlainToken } from "./helpers/Tokens.sol";

contract JobEscrowTest is EscrowFixture {
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
