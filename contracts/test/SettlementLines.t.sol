// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { Fixture } from "./helpers/Fixture.sol";

/// @notice What befalls one line of an epoch touches no other. This contract is the court.
contract SettlementLinesTest is Fixture {
    bytes32 private constant ROOT = keccak256("root");
    uint256 private constant EACH = 10;

    function setUp() public override {
        super.setUp();
        becomeSettler();
    }

    function epochOf(uint256 lines) private returns (ISettlement.EpochContent memory content) {
        bytes32[] memory jobs = new bytes32[](lines);
        for (uint256 i = 0; i < lines; ++i) {
            jobs[i] = fund(alice, 100, 100);
        }
        content = contentOf(jobs, EACH);
        settlement.proposeEpoch(content);
    }

    function bits(uint256 seed, uint256 lines) private pure returns (uint64) {
        return uint64(seed & ((1 << lines) - 1));
    }

    function testFuzz_eachLineHasItsOwnFate(uint256 lines, uint256 frozen, uint256 fallen) public {
        lines = bound(lines, 1, 64);
        ISettlement.EpochContent memory content = epochOf(lines);
        (frozen, fallen) = (bits(frozen, lines), bits(fallen, lines));
        for (uint256 i = 0; i < lines; ++i) {
            if ((frozen >> i) & 1 == 1) settlement.freeze(1, i);
            if ((fallen >> i) & 1 == 1) settlement.reject(1, i);
        }
        skip(WINDOW);
        uint256 free = bits(~(frozen | fallen), lines);
        if (free == 0) nothingToPay(content);
        else settlement.finaliseEpoch(content);
        ISettlement.Epoch memory epoch = settlement.epochOf(1);
        eq(epoch.paid, free, "paid");
        eq(epoch.rejected, fallen, "rejected");
        eq(epoch.disputed, frozen, "disputed");
        for (uint256 i = 0; i < lines; ++i) {
            bool paid = (free >> i) & 1 == 1;
            eq(rewards.leftOf(1, content.jobs[i].jobId, ROOT), paid ? EACH : 0, "pot");
            eq(escrow.jobOf(content.jobs[i].jobId).reserved, paid ? 0 : EACH, "reserved");
        }
        eq(settlement.bondOf(1), frozen == 0 ? 0 : BASE_BOND, "bond");
    }

    /// @dev In whatever pieces: each line is paid once, and the bond is free with the last one.
    function testFuzz_linesArePaidOnceInAnyPieces(uint256 lines, uint64[5] memory pieces, address caller) public {
        lines = bound(lines, 1, 64);
        ISettlement.EpochContent memory content = epochOf(lines);
        skip(WINDOW);
        uint64 paid = 0;
        for (uint256 i = 0; i < 5; ++i) {
            vm.prank(caller);
            if (bits(pieces[i], lines) & ~paid == 0) vm.expectPartialRevert(ISettlement.NothingToPay.selector);
            settlement.finaliseLines(content, pieces[i]);
            paid |= bits(pieces[i], lines);
            eq(settlement.epochOf(1).paid, paid, "paid");
            eq(settlement.bondOf(1), paid == bits(type(uint256).max, lines) ? 0 : BASE_BOND, "bond");
        }
        if (paid != bits(type(uint256).max, lines)) settlement.finaliseEpoch(content);
        eq(money.balanceOf(address(rewards)), lines * EACH, "each line once");
        eq(registry.nodeOf(address(this)).locked, 0, "bond");
    }

    /// @dev Convicted with some lines paid: those stay paid, all others fall, disputed or not.
    function testFuzz_aConvictionTakesWhatIsNotPaid(uint256 lines, uint64 paid, uint64 frozen, uint64 fallen) public {
        lines = bound(lines, 2, 64);
        ISettlement.EpochContent memory content = epochOf(lines);
        (frozen, fallen) = (bits(frozen, lines), bits(fallen, lines));
        paid = bits(paid, lines) & ~(frozen | fallen);
        for (uint256 i = 0; i < lines; ++i) {
            if ((frozen >> i) & 1 == 1) settlement.freeze(1, i);
            if ((fallen >> i) & 1 == 1) settlement.reject(1, i);
        }
        skip(WINDOW);
        if (paid != 0) settlement.finaliseLines(content, paid);
        uint256 before = registry.nodeOf(address(this)).stake;
        uint256 bond = settlement.bondOf(1);
        settlement.convict(1);
        ISettlement.Epoch memory epoch = settlement.epochOf(1);
        eq(epoch.paid, paid, "paid stays paid");
        eq(epoch.rejected, bits(~uint256(paid), lines), "all others fell");
        eq(registry.nodeOf(address(this)).stake, before - bond, "burned");
        check(settlement.suspended(address(this)), "suspended");
        settlement.convict(1);
        for (uint256 i = 0; i < lines; ++i) {
            if ((frozen >> i) & 1 == 1) settlement.unfreeze(1, i, i % 2 == 0);
        }
        eq(registry.nodeOf(address(this)).stake, before - bond, "burned once");
        eq(registry.nodeOf(address(this)).locked, 0, "nothing is locked twice or for ever");
        nothingToPay(content);
        if (epoch.rejected == 0) return;
        settlement.unwindEpoch(content);
        eq(settlement.epochOf(1).unwound, epoch.rejected, "unwound");
    }

    /// @dev A court that reaches no verdict takes one line, and no other line's or epoch's money waits for it.
    function test_noVerdictRejectsOneLineAlone() public {
        ISettlement.EpochContent memory content = epochOf(3);
        ISettlement.EpochContent memory next = propose(content.jobs[1].jobId, EACH, ROOT);
        settlement.freeze(1, 1);
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        settlement.finaliseEpoch(next);
        settlement.unfreeze(1, 1, false);
        vm.expectEmit(address(settlement));
        emit ISettlement.LineRejected(1, 1);
        settlement.reject(1, 1);
        isStatus(1, 0, ISettlement.Status.Finalised);
        isStatus(1, 1, ISettlement.Status.Rejected);
        isStatus(1, 2, ISettlement.Status.Finalised);
        isStatus(2, ISettlement.Status.Finalised);
        eq(settlement.bondOf(1), 0, "bond");
        settlement.unwindEpoch(content);
        eq(escrow.jobOf(content.jobs[1].jobId).available, 100 - EACH, "given back");
        eq(escrow.jobOf(content.jobs[0].jobId).available, 100 - EACH, "no other job's");
    }

    /// @dev Lines that fall one after the other are each given back once.
    function testFuzz_unwindGivesEachLineBackOnce(uint256 lines, uint64[3] memory falls) public {
        lines = bound(lines, 1, 64);
        ISettlement.EpochContent memory content = epochOf(lines);
        uint64 fallen = 0;
        for (uint256 k = 0; k < 3; ++k) {
            uint64 more = bits(falls[k], lines) & ~fallen;
            for (uint256 i = 0; i < lines; ++i) {
                if ((more >> i) & 1 == 1) settlement.reject(1, i);
            }
            fallen |= more;
            if (more == 0) vm.expectPartialRevert(ISettlement.NothingToUnwind.selector);
            settlement.unwindEpoch(content);
            eq(settlement.epochOf(1).unwound, fallen, "unwound");
        }
        for (uint256 i = 0; i < lines; ++i) {
            bool fell = (fallen >> i) & 1 == 1;
            eq(escrow.jobOf(content.jobs[i].jobId).available, fell ? 100 : 100 - EACH, "available");
            isStatus(1, i, fell ? ISettlement.Status.Unwound : ISettlement.Status.Pending);
        }
    }

    function test_aPauseStopsSingleLinesToo() public {
        ISettlement.EpochContent memory content = epochOf(2);
        skip(WINDOW);
        settlement.pause();
        vm.expectPartialRevert(ISettlement.IsPaused.selector);
        settlement.finaliseLines(content, 1);
    }

    function testFuzz_noLineBeyondTheLast(uint256 line) public {
        epochOf(3);
        line = bound(line, 3, type(uint256).max);
        isStatus(1, line, ISettlement.Status.None);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongStatus.selector, 1, line, ISettlement.Status.None));
        settlement.freeze(1, line);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongStatus.selector, 1, line, ISettlement.Status.None));
        settlement.reject(1, line);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.LineIsNotFrozen.selector, 1, line));
        settlement.unfreeze(1, line, true);
    }
}
