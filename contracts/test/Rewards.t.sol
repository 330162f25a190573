// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IRewards } from "../src/interfaces/IRewards.sol";
import { Fixture } from "./helpers/Fixture.sol";
import { Merkle } from "./helpers/Merkle.sol";

contract RewardsTest is Fixture {
    bytes32 private jobId;

    function setUp() public override {
        super.setUp();
        becomeSettler();
        jobId = fund(alice, type(uint96).max, type(uint96).max);
    }

    function leavesOf(address account, uint256 cumulative, uint256 others)
        private
        view
        returns (bytes32[] memory leaves)
    {
        leaves = new bytes32[](others + 1);
        leaves[0] = Merkle.rewardLeaf(address(money), account, cumulative);
        for (uint256 i = 1; i <= others; ++i) {
            leaves[i] = Merkle.rewardLeaf(address(money), address(uint160(i)), i);
        }
    }

    function testFuzz_anyoneClaimsAndTheMoneyGoesToTheAccount(address caller, uint256 amount, uint8 others) public {
        amount = bound(amount, 1, type(uint96).max);
        bytes32[] memory leaves = leavesOf(bob, amount, bound(others, 0, 40));
        settle(jobId, amount, Merkle.root(leaves));
        vm.prank(caller);
        eq(rewards.claim(address(money), bob, amount, Merkle.proof(leaves, 0)), amount, "paid");
        eq(money.balanceOf(bob), amount, "balance");
        eq(rewards.claimed(address(money), bob), amount, "claimed");
    }

    function testFuzz_aSecondClaimPaysNothing(uint256 amount) public {
        amount = bound(amount, 1, type(uint96).max);
        bytes32[] memory leaves = leavesOf(bob, amount, 3);
        settle(jobId, amount, Merkle.root(leaves));
        rewards.claim(address(money), bob, amount, Merkle.proof(leaves, 0));
        eq(rewards.claim(address(money), bob, amount, Merkle.proof(leaves, 0)), 0, "second");
        eq(money.balanceOf(bob), amount, "balance");
    }

    function testFuzz_laterRootsPayTheDifference(uint256 first, uint256 second) public {
        first = bound(first, 1, type(uint96).max / 2);
        second = bound(second, 0, type(uint96).max / 2);
        bytes32[] memory leaves = leavesOf(bob, first, 3);
        settle(jobId, first, Merkle.root(leaves));
        rewards.claim(address(money), bob, first, Merkle.proof(leaves, 0));
        leaves = leavesOf(bob, first + second, 5);
        settle(jobId, second, Merkle.root(leaves));
        eq(rewards.claim(address(money), bob, first + second, Merkle.proof(leaves, 0)), second, "difference");
        eq(money.balanceOf(bob), first + second, "balance");
    }

    function testFuzz_severalEpochsInOneClaim(uint8 epochs, uint64 each) public {
        uint256 count = bound(epochs, 1, 8);
        uint256 amount = bound(each, 1, type(uint64).max);
        bytes32[] memory leaves;
        for (uint256 i = 1; i <= count; ++i) {
            leaves = leavesOf(bob, amount * i, 2);
            settle(jobId, amount, Merkle.root(leaves));
        }
        eq(rewards.claim(address(money), bob, amount * count, Merkle.proof(leaves, 0)), amount * count, "all");
    }

    function testFuzz_aLowerCumulativeDoesNotBlock(uint256 first, uint256 lower) public {
        first = bound(first, 2, type(uint96).max / 2);
        lower = bound(lower, 0, first - 1);
        bytes32[] memory leaves = leavesOf(bob, first, 3);
        settle(jobId, first, Merkle.root(leaves));
        rewards.claim(address(money), bob, first, Merkle.proof(leaves, 0));
        leaves = leavesOf(bob, lower, 3);
        settle(jobId, 0, Merkle.root(leaves));
        eq(rewards.claim(address(money), bob, lower, Merkle.proof(leaves, 0)), 0, "nothing, without an error");
        eq(rewards.claimed(address(money), bob), first, "claimed never falls");
        leaves = leavesOf(bob, first + 1, 3);
        settle(jobId, 1, Merkle.root(leaves));
        eq(rewards.claim(address(money), bob, first + 1, Merkle.proof(leaves, 0)), 1, "goes on");
    }

    function testFuzz_wrongLeavesAreRefused(address account, uint256 amount, address token) public {
        bytes32[] memory leaves = leavesOf(bob, 100, 3);
        vm.assume(account != bob || amount != 100 || token != address(money));
        settle(jobId, 100, Merkle.root(leaves));
        bytes32[] memory proof = Merkle.proof(leaves, 0);
        vm.expectRevert(abi.encodeWithSelector(IRewards.InvalidRewardProof.selector, token, account, amount));
        rewards.claim(token, account, amount, proof);
    }

    function testFuzz_tamperedProofsAreRefused(uint256 spot, bytes32 junk) public {
        bytes32[] memory leaves = leavesOf(bob, 100, 15);
        settle(jobId, 100, Merkle.root(leaves));
        bytes32[] memory proof = Merkle.proof(leaves, 0);
        spot = bound(spot, 0, proof.length - 1);
        vm.assume(proof[spot] != junk);
        proof[spot] = junk;
        vm.expectPartialRevert(IRewards.InvalidRewardProof.selector);
        rewards.claim(address(money), bob, 100, proof);
    }

    function test_aPendingRootPaysNothing() public {
        bytes32[] memory leaves = leavesOf(bob, 100, 3);
        propose(jobId, 100, Merkle.root(leaves));
        bytes32[] memory proof = Merkle.proof(leaves, 0);
        vm.expectPartialRevert(IRewards.InvalidRewardProof.selector);
        rewards.claim(address(money), bob, 100, proof);
    }

    function test_beforeTheFirstRootNothingIsPaid() public {
        vm.expectPartialRevert(IRewards.InvalidRewardProof.selector);
        rewards.claim(address(money), bob, 100, new bytes32[](0));
    }

    function testFuzz_innerNodesAreNoLeaves(uint256 left, uint256 right) public {
        // Second pre-image: 64 bytes that hash to an inner node cannot be passed off as a leaf, for leaves are
        // 96 bytes long and hashed twice.
        bytes32[] memory leaves = leavesOf(bob, left, 1);
        leaves[1] = Merkle.rewardLeaf(address(money), alice, right);
        settle(jobId, 0, Merkle.root(leaves));
        vm.expectPartialRevert(IRewards.InvalidRewardProof.selector);
        rewards.claim(address(uint160(uint256(leaves[0]))), address(uint160(uint256(leaves[1]))), 0, new bytes32[](0));
    }

    function testFuzz_oneRootManyAccounts(uint256 seed, uint8 count_) public {
        uint256 count = bound(count_, 1, 30);
        bytes32[] memory leaves = new bytes32[](count);
        uint256 total = 0;
        for (uint256 i = 0; i < count; ++i) {
            uint256 amount = uint256(keccak256(abi.encode(seed, i))) >> 180;
            leaves[i] = Merkle.rewardLeaf(address(money), address(uint160(1000 + i)), amount);
            total += amount;
        }
        settle(jobId, total, Merkle.root(leaves));
        IRewards.Claim[] memory claims = new IRewards.Claim[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 amount = uint256(keccak256(abi.encode(seed, i))) >> 180;
            claims[i] = IRewards.Claim(address(money), address(uint160(1000 + i)), amount, Merkle.proof(leaves, i));
        }
        rewards.claimMany(claims);
        eq(money.balanceOf(address(rewards)), 0, "paid out exactly");
    }

    function test_aBatchPassesOverWhatWasClaimedInFrontOfIt() public {
        bytes32[] memory leaves = leavesOf(bob, 100, 1);
        settle(jobId, 101, Merkle.root(leaves));
        IRewards.Claim[] memory claims = new IRewards.Claim[](2);
        claims[0] = IRewards.Claim(address(money), bob, 100, Merkle.proof(leaves, 0));
        claims[1] = IRewards.Claim(address(money), address(1), 1, Merkle.proof(leaves, 1));
        rewards.claim(address(money), bob, 100, claims[0].proof);
        uint256[] memory amounts = rewards.claimMany(claims);
        eq(amounts[0], 0, "first was paid before");
        eq(amounts[1], 1, "second is paid");
    }

    function testFuzz_payoutsStopAtWhatWasFinalisedIn(uint256 brought, uint256 granted) public {
        brought = bound(brought, 0, type(uint96).max - 1);
        granted = bound(granted, brought + 1, type(uint96).max);
        fund(alice, 1000, 1000); // another job's money, still in the escrow
        bytes32[] memory leaves = leavesOf(bob, granted, 1);
        settle(jobId, brought, Merkle.root(leaves));
        bytes32[] memory proof = Merkle.proof(leaves, 0);
        vm.expectRevert();
        rewards.claim(address(money), bob, granted, proof);
    }

    function testFuzz_openChangesNothingButTheGas(address token, address account, uint8 times) public {
        for (uint256 i = 0; i < bound(times, 1, 3); ++i) {
            rewards.open(token, account);
        }
        eq(rewards.claimed(token, account), 0, "claimed");
    }

    function test_openAfterAClaimDoesNotResetIt() public {
        bytes32[] memory leaves = leavesOf(bob, 100, 1);
        settle(jobId, 100, Merkle.root(leaves));
        rewards.claim(address(money), bob, 100, Merkle.proof(leaves, 0));
        rewards.open(address(money), bob);
        eq(rewards.claimed(address(money), bob), 100, "claimed");
    }

    function testFuzz_onlySettlementPublishes(address caller) public {
        vm.assume(caller != address(settlement));
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IRewards.NotSettlement.selector, caller));
        rewards.publish(1, keccak256("mine"));
    }

    function test_claimsGoOnDuringAPause() public {
        bytes32[] memory leaves = leavesOf(bob, 100, 1);
        settle(jobId, 100, Merkle.root(leaves));
        settlement.pause();
        eq(rewards.claim(address(money), bob, 100, Merkle.proof(leaves, 0)), 100, "paid");
    }

    /// @dev The one amount that the books cannot hold pays nothing and spoils nothing.
    function test_theLargestNumberPaysNothing() public {
        bytes32[] memory leaves = leavesOf(bob, type(uint256).max, 3);
        settle(jobId, 100, Merkle.root(leaves));
        eq(rewards.claim(address(money), bob, type(uint256).max, Merkle.proof(leaves, 0)), 0, "paid");
        eq(rewards.claimed(address(money), bob), 0, "claimed");
        eq(money.balanceOf(address(rewards)), 100, "balance");
    }
}
