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

    function testFuzz_lockedStakeStaysOnExit(uint256 amount) public {
        amount = bound(amount, 1, MIN_STAKE - 1);
        register(alice, MIN_STAKE);
        registry.lock(alice, amount);
        vm.prank(alice);
        registry.deactivate();
        skip(UNBONDING);
        vm.startPrank(alice);
        eq(registry.withdraw(), MIN_STAKE - amount, "free part");
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NothingToWithdraw.selector, alice));
        registry.withdraw();
        vm.stopPrank();
        registry.unlock(alice, amount);
        vm.prank(alice);
        eq(registry.withdraw(), amount, "the rest");
    }

    function testFuzz_slashBurnsAtLeastHalf(uint256 amount, uint256 bounty) public {
        amount = bound(amount, 0, MIN_STAKE);
        bounty = bound(bounty, 0, amount / 2);
        register(alice, MIN_STAKE);
        registry.lock(alice, amount);
        registry.slash(alice, amount, bob, bounty);
        eq(r1.balanceOf(bob), bounty, "bounty");
        eq(r1.totalSupply(), SUPPLY - (amount - bounty), "burned");
        eq(registry.nodeOf(alice).stake, MIN_STAKE - amount, "stake");
        eq(registry.nodeOf(alice).locked, 0, "locked");
        eq(r1.balanceOf(address(registry)), MIN_STAKE - amount, "registry balance");
    }

    function testFuzz_bountyAboveHalfIsRefused(uint256 amount, uint256 bounty) public {
        amount = bound(amount, 1, MIN_STAKE);
        bounty = bound(bounty, amount / 2 + 1, type(uint256).max);
        register(alice, MIN_STAKE);
        registry.lock(alice, amount);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.BountyTooLarge.selector, bounty, amount));
        registry.slash(alice, amount, bob, bounty);
    }

    function testFuzz_onlyLockedStakeIsSlashedOrUnlocked(uint256 locked, uint256 amount) public {
        locked = bound(locked, 0, MIN_STAKE);
        amount = bound(amount, locked + 1, type(uint256).max);
        register(alice, MIN_STAKE);
        registry.lock(alice, locked);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotLocked.selector, alice, amount, locked));
        registry.slash(alice, amount, bob, 0);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotLocked.selector, alice, amount, locked));
        registry.unlock(alice, amount);
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
