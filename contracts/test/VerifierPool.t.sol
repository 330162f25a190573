// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { INodeRegistry } from "../src/interfaces/INodeRegistry.sol";
import { IVerifierPool } from "../src/interfaces/IVerifierPool.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";

/// @dev Who is in the pool, with which weight, and whether it is ready.
contract VerifierPoolTest is DisputeFixture {
    function testFuzz_onlyActiveNodesJoin(address stranger) public {
        vm.assume(stranger != alice && stranger != bob && stranger != carol);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IVerifierPool.NotActive.selector, stranger));
        pool.join();
    }

    function test_joinAndQuitOnce() public {
        vm.startPrank(alice);
        pool.join();
        check(pool.contains(alice), "joined");
        eq(pool.weightOf(alice), STAKE, "weight");
        vm.expectRevert(abi.encodeWithSelector(IVerifierPool.AlreadyInPool.selector, alice));
        pool.join();
        pool.quit();
        check(!pool.contains(alice), "left");
        eq(pool.totalWeight(), 0, "no weight");
        vm.expectRevert(abi.encodeWithSelector(IVerifierPool.NotInPool.selector, alice));
        pool.quit();
        vm.stopPrank();
    }

    function testFuzz_anyoneUpdatesAWeight(address caller, uint96 more, uint96 taken) public {
        more = uint96(bound(more, 0, 5 * STAKE));
        taken = uint96(bound(taken, 0, STAKE));
        vm.prank(alice);
        pool.join();
        r1.transfer(alice, more);
        vm.startPrank(alice);
        r1.approve(address(registry), more);
        registry.addStake(more);
        vm.stopPrank();
        registry.slash(alice, taken, address(0), 0);
        eq(pool.weightOf(alice), STAKE, "as at joining");
        vm.prank(caller);
        pool.update(alice);
        uint256 stake = STAKE + more - taken;
        uint256 expected = stake < MIN_STAKE ? 0 : stake < 2 * STAKE ? stake : 2 * STAKE;
        eq(pool.weightOf(alice), expected / 1e15 * 1e15, "weight");
        eq(pool.totalWeight(), pool.weightOf(alice), "total");
        check(pool.contains(alice) == (expected != 0), "who is not active is out");
    }

    function testFuzz_whoIsLeavingTheNetworkCanBePutOut(address caller) public {
        vm.prank(alice);
        pool.join();
        vm.prank(alice);
        registry.deactivate();
        vm.prank(caller);
        pool.update(alice);
        eq(pool.size(), 0, "size");
        vm.prank(caller);
        pool.update(alice);
    }

    /// @dev Whoever may still be drawn has his stake here: it is held for as long as an older draw can come.
    function testFuzz_stakeStaysUntilNoDrawCanCome(uint256 early) public {
        vm.startPrank(alice);
        pool.join();
        registry.deactivate();
        skip(UNBONDING);
        vm.expectPartialRevert(INodeRegistry.StakeIsLocked.selector);
        registry.withdraw();
        vm.expectRevert(abi.encodeWithSelector(IVerifierPool.NotReleasable.selector, alice, 0));
        pool.release(alice);
        pool.quit();
        uint256 from = block.number + pool.EXIT_BLOCKS() + 1;
        vm.roll(bound(early, block.number, from - 1));
        vm.expectRevert(abi.encodeWithSelector(IVerifierPool.NotReleasable.selector, alice, from));
        pool.release(alice);
        vm.expectPartialRevert(INodeRegistry.StakeIsLocked.selector);
        registry.withdraw();
        vm.roll(from);
        pool.release(alice);
        eq(registry.withdraw(), STAKE, "all of it");
        vm.stopPrank();
    }

    /// @dev A slash of everything and a new stake do not free what the pool holds.
    function test_aSlashDoesNotLetGo() public {
        vm.prank(alice);
        pool.join();
        registry.slash(alice, STAKE, address(0), 0);
        register(alice, MIN_STAKE);
        vm.startPrank(alice);
        registry.deactivate();
        skip(UNBONDING);
        vm.expectPartialRevert(INodeRegistry.StakeIsLocked.selector);
        registry.withdraw();
        vm.stopPrank();
    }

    function test_whoComesBackIsHeldOnce() public {
        vm.startPrank(alice);
        for (uint256 i = 0; i < 3; ++i) {
            pool.join();
            pool.quit();
        }
        vm.stopPrank();
        vm.roll(block.number + pool.EXIT_BLOCKS() + 1);
        pool.release(alice);
        nothingLocked(alice);
    }

    function test_withoutFreeStakeNobodyJoins() public {
        registry.lock(alice, STAKE);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVerifierPool.NoFreeStake.selector, alice));
        pool.join();
    }

    function testFuzz_readyNeedsMembersAndWeight(uint8 members_, uint8 minJurors, uint96 minWeight) public {
        uint256 members = bound(members_, 0, 8);
        minJurors = uint8(bound(minJurors, 0, 9));
        minWeight = uint96(bound(minWeight, 0, 9 * STAKE));
        pool.setParameters(IVerifierPool.Parameters(minJurors, minWeight, uint96(STAKE)));
        fillPool(members);
        check(pool.ready() == (members >= minJurors && members * STAKE >= minWeight), "ready");
    }

    function testFuzz_onlyTheAdminSetsParameters(address caller) public {
        vm.assume(caller != address(this));
        vm.expectRevert(IVerifierPool.ParameterOutOfBounds.selector);
        pool.setParameters(IVerifierPool.Parameters(1, 1, 1e15 - 1));
        IVerifierPool.Parameters memory given = poolDefaults();
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, bytes32(0))
        );
        pool.setParameters(given);
        eq(pool.parameters().maxWeight, given.maxWeight, "as it was");
    }
}
