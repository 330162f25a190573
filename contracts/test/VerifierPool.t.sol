// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IVerifierPool } from "../src/interfaces/IVerifierPool.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";

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
        vm.expectRevert(abi.encodeWithSelector(IVerifierPool.AlreadyInPool.selector, alice));
        pool.join();
        pool.quit();
        check(!pool.contains(alice), "left");
        vm.expectRevert(abi.encodeWithSelector(IVerifierPool.NotInPool.selector, alice));
        pool.quit();
        vm.stopPrank();
    }

    function testFuzz_anyoneEvictsTheInactiveOnly(address caller) public {
        vm.prank(alice);
        pool.join();
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IVerifierPool.StillActive.selector, alice));
        pool.evict(alice);
        vm.prank(alice);
        registry.deactivate();
        vm.prank(caller);
        pool.evict(alice);
        eq(pool.size(), 0, "size");
    }

    function testFuzz_aDrawIsAPureFunctionOfItsSeed(bytes32 seed) public {
        fillPool(6);
        address[] memory one = pool.draw(seed, 3, alice, bob);
        address[] memory two = pool.draw(seed, 3, alice, bob);
        eq(keccak256(abi.encode(one)), keccak256(abi.encode(two)), "same");
    }

    function testFuzz_drawTakesAsManyAsThereAre(bytes32 seed, uint8 members_, uint8 wanted_) public {
        uint256 members = bound(members_, 0, 8);
        uint256 wanted = bound(wanted_, 0, 20);
        fillPool(members);
        eq(pool.draw(seed, wanted, alice, bob).length, members < wanted ? members : wanted, "size");
    }

    function test_everybodyIsDrawnAboutEquallyOften() public {
        fillPool(6);
        uint256[6] memory hits;
        for (uint256 i = 0; i < 600; ++i) {
            address[] memory committee = pool.draw(keccak256(abi.encode(i)), 2, alice, bob);
            ++hits[uint160(committee[0]) - 0x9000];
            ++hits[uint160(committee[1]) - 0x9000];
        }
        // 200 expected each, standard deviation 11.5: six deviations either way.
        for (uint256 i = 0; i < 6; ++i) {
            check(hits[i] > 130 && hits[i] < 270, "uniform");
        }
    }
}
