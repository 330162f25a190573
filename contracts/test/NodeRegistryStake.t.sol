// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { INodeRegistry } from "../src/interfaces/INodeRegistry.sol";
import { Fixture } from "./helpers/Fixture.sol";

contract NodeRegistryStakeTest is Fixture {
    function testFuzz_addStake(uint256 first, uint256 more) public {
        first = bound(first, MIN_STAKE, SUPPLY / 2);
        more = bound(more, 0, SUPPLY / 2);
        register(alice, first);
        r1.transfer(alice, more);
        vm.startPrank(alice);
        r1.approve(address(registry), more);
        registry.addStake(more);
        vm.stopPrank();
        eq(registry.nodeOf(alice).stake, first + more, "stake");
    }

    function testFuzz_exitReturnsTheStakeAfterTheDelay(uint256 stake, uint256 early) public {
        stake = bound(stake, MIN_STAKE, SUPPLY);
        early = bound(early, 0, UNBONDING - 1);
        register(alice, stake);
        uint256 exitAt = block.timestamp + UNBONDING;
        vm.prank(alice);
        registry.deactivate();
        check(!registry.isActive(alice), "inactive at once");
        skip(early);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StillUnbonding.selector, exitAt));
        registry.withdraw();
        vm.warp(exitAt);
        vm.prank(alice);
        eq(registry.withdraw(), stake, "returned");
        eq(r1.balanceOf(alice), stake, "balance");
    }

    function test_aParameterChangeDoesNotMoveAnExitUnderWay() public {
        register(alice, MIN_STAKE);
        vm.prank(alice);
        registry.deactivate();
        registry.setParameters(MIN_STAKE, 60 days);
        skip(UNBONDING);
        vm.prank(alice);
        registry.withdraw();
        eq(r1.balanceOf(alice), MIN_STAKE, "balance");
    }

    function test_exitCanBeTakenBack() public {
        register(alice, MIN_STAKE);
        vm.startPrank(alice);
        registry.deactivate();
        registry.reactivate();
        check(registry.isActive(alice), "active");
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotExiting.selector, alice));
        registry.withdraw();
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotExiting.selector, alice));
        registry.reactivate();
        vm.stopPrank();
    }

    function test_exitTwiceDoesNotRestartTheClock() public {
        register(alice, MIN_STAKE);
        vm.startPrank(alice);
        registry.deactivate();
        skip(1 days);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.AlreadyExiting.selector, alice));
        registry.deactivate();
        vm.stopPrank();
    }

    function test_strangersCannotExit() public {
        vm.startPrank(bob);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, bob));
        registry.deactivate();
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, bob));
        registry.reactivate();
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, bob));
        registry.withdraw();
        vm.stopPrank();
    }

    function test_afterLeavingOneMayComeBack() public {
        register(alice, MIN_STAKE);
        vm.prank(alice);
        registry.deactivate();
        skip(UNBONDING);
        vm.startPrank(alice);
        registry.withdraw();
        r1.approve(address(registry), MIN_STAKE);
        registry.register(MIN_STAKE);
        vm.stopPrank();
        check(registry.isActive(alice), "active again");
    }

    function test_raisingTheMinimumMakesSmallNodesInactive() public {
        register(alice, MIN_STAKE);
        registry.setParameters(MIN_STAKE + 1, UNBONDING);
        check(!registry.isActive(alice), "inactive");
    }

    function testFuzz_lockTakesAtMostWhatIsFree(uint256 stake, uint256 first, uint256 second) public {
        stake = bound(stake, MIN_STAKE, SUPPLY);
        register(alice, stake);
        uint256 one = registry.lock(alice, first);
        uint256 two = registry.lock(alice, second);
        eq(one, first < stake ? first : stake, "first");
        eq(two, second < stake - one ? second : stake - one, "second");
        eq(registry.nodeOf(alice).locked, one + two, "locked");
    }

    function testFuzz_nobodyLeavesWhileAnythingIsLocked(uint256 amount) public {
        amount = bound(amount, 1, MIN_STAKE);
        register(alice, MIN_STAKE);
        registry.lock(alice, amount);
        vm.prank(alice);
        registry.deactivate();
        skip(UNBONDING);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StakeIsLocked.selector, alice, amount));
        registry.withdraw();
        registry.unlock(alice, amount);
        vm.prank(alice);
        eq(registry.withdraw(), MIN_STAKE, "all of it");
    }

    /// @dev Puppets' locks hold all stake, so the real one holds none: the delay does, once theirs are undone.
    function testFuzz_aLockThatHeldNothingDelaysTheExit(uint256 wait, uint256 amount) public {
        wait = bound(wait, 0, 365 days);
        register(alice, MIN_STAKE);
        registry.lock(alice, MIN_STAKE);
        vm.prank(alice);
        registry.deactivate();
        skip(wait);
        eq(registry.lock(alice, bound(amount, 0, MIN_STAKE)), 0, "nothing was free");
        uint256 until = block.timestamp + UNBONDING;
        registry.unlock(alice, MIN_STAKE);
        skip(UNBONDING - 1);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StillUnbonding.selector, until));
        registry.withdraw();
        skip(1);
        vm.prank(alice);
        registry.withdraw();
    }

    /// @dev One lock undone after a slash does not free what another one holds.
    function testFuzz_locksAreUndoneOneByOne(uint256 first, uint256 amount) public {
        first = bound(first, 1, MIN_STAKE - 1);
        amount = bound(amount, 1, MIN_STAKE - 1);
        register(alice, MIN_STAKE);
        uint256 second = MIN_STAKE - first;
        registry.lock(alice, first);
        registry.lock(alice, second);
        registry.slash(alice, amount, bob, 0);
        registry.unlock(alice, first);
        uint256 left = MIN_STAKE - amount;
        eq(registry.nodeOf(alice).locked, second < left ? second : left, "still held");
        registry.unlock(alice, second);
        eq(registry.nodeOf(alice).locked, 0, "all undone");
    }

    /// @dev Slashing takes what there is, locked or not; what is missing stays as a debt, and pays no bounty.
    function testFuzz_slashTakesAllStakeAndKeepsTheDebt(uint256 amount, uint256 bounty, uint256 locked) public {
        amount = bound(amount, 1, 3 * MIN_STAKE);
        bounty = bound(bounty, 0, amount / 2);
        register(alice, MIN_STAKE);
        registry.lock(alice, bound(locked, 0, MIN_STAKE));
        uint256 paid = registry.slash(alice, amount, bob, bounty);
        uint256 taken = amount < MIN_STAKE ? amount : MIN_STAKE;
        eq(paid, bounty < taken / 2 ? bounty : taken / 2, "paid");
        eq(r1.balanceOf(bob), paid, "bounty");
        eq(r1.totalSupply(), SUPPLY - (taken - paid), "burned");
        eq(registry.nodeOf(alice).stake, MIN_STAKE - taken, "stake");
        eq(registry.nodeOf(alice).debt, amount - taken, "debt");
        atMost(registry.nodeOf(alice).locked, MIN_STAKE - taken, "locked");
        eq(r1.balanceOf(address(registry)), MIN_STAKE - taken, "registry balance");
    }

    function testFuzz_aDebtIsPaidFirst(uint256 debt, uint256 amount) public {
        debt = bound(debt, 1, 1e25);
        amount = bound(amount, 0, debt);
        register(alice, MIN_STAKE);
        registry.slash(alice, MIN_STAKE + debt, bob, 0);
        r1.transfer(alice, debt + MIN_STAKE);
        vm.startPrank(alice);
        r1.approve(address(registry), type(uint256).max);
        vm.expectPartialRevert(INodeRegistry.StakeTooSmall.selector);
        registry.register(debt + MIN_STAKE - 1);
        registry.addStake(amount);
        eq(registry.nodeOf(alice).debt, debt - amount, "paid in part");
        check(!registry.isActive(alice), "a debtor is not active");
        registry.register(debt - amount + MIN_STAKE);
        vm.stopPrank();
        eq(registry.nodeOf(alice).debt, 0, "paid");
        eq(registry.nodeOf(alice).stake, MIN_STAKE, "the rest is stake");
        eq(r1.totalSupply(), SUPPLY - MIN_STAKE - debt, "debts are burned");
        check(registry.isActive(alice), "active again");
    }

    function testFuzz_slashingNeverFails(uint256 first, uint256 second) public {
        registry.slash(alice, first, bob, first / 2);
        registry.slash(alice, second, bob, second / 2);
        bool full = second > type(uint256).max - first || first + second >= type(uint96).max;
        eq(registry.nodeOf(alice).debt, full ? type(uint96).max : first + second, "debt");
        eq(r1.balanceOf(bob), 0, "nothing to pay with");
    }

    function testFuzz_stakeVotesWithItsOwner(uint256 stake, uint256 more, uint256 amount) public {
        stake = bound(stake, MIN_STAKE, SUPPLY / 4);
        more = bound(more, 1, SUPPLY / 4);
        amount = bound(amount, 1, stake + more);
        uint256 start = block.timestamp;
        register(alice, stake);
        skip(10);
        r1.transfer(alice, more);
        vm.startPrank(alice);
        r1.approve(address(registry), more);
        registry.addStake(more);
        vm.stopPrank();
        skip(10);
        registry.slash(alice, amount, bob, 0);
        skip(10);
        eq(registry.getPastVotes(alice, start - 1), 0, "before");
        eq(registry.getPastVotes(alice, start), stake, "registered");
        eq(registry.getPastVotes(alice, start + 10), stake + more, "added");
        eq(registry.getPastVotes(alice, start + 20), stake + more - amount, "slashed");
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.FutureLookup.selector, block.timestamp));
        registry.getPastVotes(alice, block.timestamp);
    }

    function testFuzz_bountyAboveHalfIsRefused(uint256 amount, uint256 bounty) public {
        amount = bound(amount, 1, MIN_STAKE);
        bounty = bound(bounty, amount / 2 + 1, type(uint256).max);
        register(alice, MIN_STAKE);
        registry.lock(alice, amount);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.BountyTooLarge.selector, bounty, amount));
        registry.slash(alice, amount, bob, bounty);
    }

    function testFuzz_aGiftIsTheOwnersStake(uint256 stake) public {
        stake = bound(stake, MIN_STAKE, SUPPLY);
        r1.approve(address(registry), stake);
        registry.registerFor(bob, stake);
        check(registry.isActive(bob), "active");
        eq(registry.nodeOf(bob).stake, stake, "his stake");
        eq(registry.nodeOf(address(this)).stake, 0, "not the giver's");
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.AlreadyRegistered.selector, bob));
        registry.registerFor(bob, MIN_STAKE);
        vm.startPrank(bob);
        registry.deactivate();
        skip(UNBONDING);
        eq(registry.withdraw(), stake, "he may take it");
        vm.stopPrank();
    }

    function testFuzz_unlockingIsLenient(uint256 locked, uint256 amount) public {
        locked = bound(locked, 0, MIN_STAKE);
        register(alice, MIN_STAKE);
        registry.lock(alice, locked);
        registry.unlock(alice, amount);
        eq(registry.nodeOf(alice).locked, amount < locked ? locked - amount : 0, "locked");
    }

    function testFuzz_exitingStakeCanBeSlashed(uint256 wait) public {
        wait = bound(wait, 0, UNBONDING);
        register(alice, MIN_STAKE);
        vm.prank(alice);
        registry.deactivate();
        skip(wait);
        registry.lock(alice, MIN_STAKE);
        registry.slash(alice, MIN_STAKE, bob, MIN_STAKE / 2);
        eq(registry.nodeOf(alice).stake, 0, "stake");
    }

    function test_aSlashedNodeIsInactive() public {
        register(alice, MIN_STAKE);
        registry.lock(alice, 1);
        registry.slash(alice, 1, bob, 0);
        check(!registry.isActive(alice), "below the minimum");
    }

    function testFuzz_onlyTheSlasherTouchesStake(address caller) public {
        vm.assume(caller != address(this));
        register(alice, MIN_STAKE);
        bytes memory refusal = abi.encodeWithSelector(
            IAccessControl.AccessControlUnauthorizedAccount.selector, caller, registry.SLASHER_ROLE()
        );
        vm.startPrank(caller);
        vm.expectRevert(refusal);
        registry.lock(alice, 1);
        vm.expectRevert(refusal);
        registry.unlock(alice, 1);
        vm.expectRevert(refusal);
        registry.slash(alice, 1, caller, 0);
        vm.stopPrank();
    }
}
