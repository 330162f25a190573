// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { INodeRegistry } from "../src/interfaces/INodeRegistry.sol";
import { NodeRegistry } from "../src/NodeRegistry.sol";
import { Fixture } from "./helpers/Fixture.sol";

contract NodeRegistryTest is Fixture {
    function approve(address owner, uint256 amount) private {
        r1.transfer(owner, amount);
        vm.prank(owner);
        r1.approve(address(registry), amount);
    }

    function testFuzz_registerTakesTheStake(uint256 stake) public {
        stake = bound(stake, MIN_STAKE, SUPPLY);
        register(alice, stake);
        check(registry.isActive(alice), "active");
        eq(registry.nodeOf(alice).stake, stake, "stake");
        eq(r1.balanceOf(address(registry)), stake, "registry balance");
    }

    function testFuzz_registerBelowMinimumIsRefused(uint256 stake) public {
        stake = bound(stake, 0, MIN_STAKE - 1);
        approve(alice, stake);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StakeTooSmall.selector, stake, MIN_STAKE));
        registry.register(stake);
    }

    function testFuzz_stakeBeyond96BitsIsRefused(uint256 stake) public {
        stake = bound(stake, uint256(type(uint96).max) + 1, type(uint256).max);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StakeTooLarge.selector, stake));
        registry.register(stake);
    }

    function test_registerTwiceIsRefused() public {
        register(alice, MIN_STAKE);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.AlreadyRegistered.selector, alice));
        registry.register(MIN_STAKE);
    }

    function test_registerWithoutAllowanceLeavesNothing() public {
        r1.transfer(alice, MIN_STAKE);
        vm.prank(alice);
        vm.expectRevert();
        registry.register(MIN_STAKE);
        check(!registry.isActive(alice), "not active");
    }

    function testFuzz_registerWithWorker(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        approve(alice, MIN_STAKE);
        INodeRegistry.WorkerProof memory proof = workerProof(alice, key, block.timestamp);
        vm.prank(alice);
        registry.registerWithWorker(MIN_STAKE, proof);
        eq(registry.ownerOf(vm.addr(key)), alice, "owner");
        eq(registry.nodeOf(alice).workers, 1, "workers");
    }

    function test_workerBoundEmitsTheLibp2pPeerId() public {
        register(alice, MIN_STAKE);
        INodeRegistry.WorkerProof memory proof = workerProof(alice, 1, block.timestamp);
        // Key 1's public key is the generator of secp256k1; its y is even.
        bytes memory expected = hex"002508021221"
            hex"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        vm.expectEmit(address(registry));
        emit INodeRegistry.WorkerBound(alice, vm.addr(1), expected);
        vm.prank(alice);
        registry.bindWorker(proof);
    }

    function testFuzz_peerIdParityIsThatOfY(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        register(alice, MIN_STAKE);
        INodeRegistry.WorkerProof memory proof = workerProof(alice, key, block.timestamp);
        bytes1 parity = uint256(proof.y) % 2 == 0 ? bytes1(0x02) : bytes1(0x03);
        vm.expectEmit(address(registry));
        emit INodeRegistry.WorkerBound(alice, vm.addr(key), bytes.concat(hex"002508021221", parity, proof.x));
        vm.prank(alice);
        registry.bindWorker(proof);
    }

    function testFuzz_manyWorkersOfOneOwner(uint8 count) public {
        uint256 workers = bound(count, 1, 12);
        register(alice, MIN_STAKE);
        for (uint256 i = 1; i <= workers; ++i) {
            eq(registry.ownerOf(bind(alice, i)), alice, "owner");
        }
        eq(registry.nodeOf(alice).workers, workers, "workers");
    }

    function testFuzz_foreignKeyCannotBeBound(uint256 key, uint256 thief) public {
        key = bound(key, 1, type(uint128).max);
        thief = bound(thief, 1, type(uint128).max);
        vm.assume(key != thief);
        register(bob, MIN_STAKE);
        INodeRegistry.WorkerProof memory proof = workerProof(bob, key, block.timestamp);
        proof.signature = signature(thief, registry.bindingDigest(bob, vm.addr(key), block.timestamp));
        vm.prank(bob);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.WrongWorkerSignature.selector, vm.addr(key), vm.addr(thief))
        );
        registry.bindWorker(proof);
    }

    function testFuzz_frontRunnerCannotUseTheProof(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        register(alice, MIN_STAKE);
        register(bob, MIN_STAKE);
        INodeRegistry.WorkerProof memory proof = workerProof(alice, key, block.timestamp);
        vm.prank(bob);
        vm.expectPartialRevert(INodeRegistry.WrongWorkerSignature.selector);
        registry.bindWorker(proof);
        vm.prank(alice);
        registry.bindWorker(proof);
        eq(registry.ownerOf(vm.addr(key)), alice, "owner");
    }

    function testFuzz_proofOfAnotherChainIsRefused(uint64 chain) public {
        vm.assume(chain != 0 && chain != block.chainid);
        register(alice, MIN_STAKE);
        INodeRegistry.WorkerProof memory proof = workerProof(alice, 7, block.timestamp);
        vm.chainId(chain);
        vm.prank(alice);
        vm.expectPartialRevert(INodeRegistry.WrongWorkerSignature.selector);
        registry.bindWorker(proof);
    }

    function test_proofForAnotherRegistryIsRefused() public {
        NodeRegistry other = new NodeRegistry(address(this), r1, MIN_STAKE, UNBONDING);
        register(alice, MIN_STAKE);
        INodeRegistry.WorkerProof memory proof = workerProof(alice, 7, block.timestamp);
        proof.signature = signature(7, other.bindingDigest(alice, vm.addr(7), block.timestamp));
        vm.prank(alice);
        vm.expectPartialRevert(INodeRegistry.WrongWorkerSignature.selector);
        registry.bindWorker(proof);
    }

    function testFuzz_proofExpires(uint256 late) public {
        late = bound(late, 1, 365 days);
        register(alice, MIN_STAKE);
        uint256 deadline = block.timestamp;
        INodeRegistry.WorkerProof memory proof = workerProof(alice, 7, deadline);
        skip(late);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ProofExpired.selector, deadline));
        registry.bindWorker(proof);
    }

    function test_proofCannotBeReplayedAfterUnbinding() public {
        register(alice, MIN_STAKE);
        INodeRegistry.WorkerProof memory proof = workerProof(alice, 7, block.timestamp + 30 days);
        vm.startPrank(alice);
        registry.bindWorker(proof);
        registry.unbindWorker(vm.addr(7));
        vm.expectPartialRevert(INodeRegistry.WrongWorkerSignature.selector);
        registry.bindWorker(proof);
        vm.stopPrank();
    }

    function test_workerHasOneOwner() public {
        register(alice, MIN_STAKE);
        register(bob, MIN_STAKE);
        bind(alice, 7);
        INodeRegistry.WorkerProof memory proof = workerProof(bob, 7, block.timestamp);
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.WorkerTaken.selector, vm.addr(7), alice));
        registry.bindWorker(proof);
    }

    function testFuzz_workerCoolsDownBeforeAnotherOwner(uint256 wait) public {
        wait = bound(wait, 0, UNBONDING - 1);
        register(alice, MIN_STAKE);
        register(bob, MIN_STAKE);
        bind(alice, 7);
        vm.prank(alice);
        registry.unbindWorker(vm.addr(7));
        uint256 until = block.timestamp + UNBONDING;
        skip(wait);
        INodeRegistry.WorkerProof memory proof = workerProof(bob, 7, until);
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.WorkerCoolingDown.selector, vm.addr(7), until));
        registry.bindWorker(proof);
        eq(registry.accountableFor(vm.addr(7)), alice, "the old owner answers");
        vm.warp(until);
        vm.prank(bob);
        registry.bindWorker(proof);
        eq(registry.accountableFor(vm.addr(7)), bob, "the new owner answers");
    }

    function test_ownerMayRebindAtOnce() public {
        register(alice, MIN_STAKE);
        bind(alice, 7);
        vm.prank(alice);
        registry.unbindWorker(vm.addr(7));
        eq(registry.ownerOf(vm.addr(7)), address(0), "nobody's");
        bind(alice, 7);
        eq(registry.ownerOf(vm.addr(7)), alice, "owner");
        eq(registry.workerOf(vm.addr(7)).nonce, 2, "nonce");
    }

    function testFuzz_onlyTheOwnerUnbinds(address caller) public {
        vm.assume(caller != alice);
        register(alice, MIN_STAKE);
        bind(alice, 7);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotWorkerOwner.selector, vm.addr(7), caller));
        registry.unbindWorker(vm.addr(7));
    }

    function test_strangersCannotBindOrStakeMore() public {
        INodeRegistry.WorkerProof memory proof = workerProof(bob, 7, block.timestamp);
        vm.startPrank(bob);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, bob));
        registry.bindWorker(proof);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, bob));
        registry.addStake(1);
        vm.stopPrank();
    }

    function testFuzz_malformedSignatureIsRefused(bytes calldata junk) public {
        vm.assume(junk.length != 65);
        register(alice, MIN_STAKE);
        INodeRegistry.WorkerProof memory proof = workerProof(alice, 7, block.timestamp);
        proof.signature = junk;
        vm.prank(alice);
        vm.expectRevert();
        registry.bindWorker(proof);
    }

    function testFuzz_onlyTheAdminSetsParameters(address caller) public {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, bytes32(0))
        );
        registry.setParameters(1, 1);
    }

    function testFuzz_parametersWithinBounds(uint256 minStake, uint256 delay) public {
        minStake = bound(minStake, 1, type(uint96).max);
        delay = bound(delay, 0, 60 days);
        registry.setParameters(minStake, delay);
        eq(registry.minStake(), minStake, "minimum");
        eq(registry.unbondingDelay(), delay, "delay");
    }

    function testFuzz_parametersOutOfBoundsAreRefused(uint256 delay) public {
        delay = bound(delay, 60 days + 1, type(uint256).max);
        vm.expectRevert(INodeRegistry.ParameterOutOfBounds.selector);
        registry.setParameters(1, delay);
        vm.expectRevert(INodeRegistry.ParameterOutOfBounds.selector);
        registry.setParameters(0, 1);
    }
}
