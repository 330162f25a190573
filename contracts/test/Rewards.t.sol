// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IRewards } from "../src/interfaces/IRewards.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { Fixture } from "./helpers/Fixture.sol";
import { Merkle } from "./helpers/Merkle.sol";
import { PlainToken } from "./helpers/Tokens.sol";

contract RewardsTest is Fixture {
    bytes32 private jobId;

    function setUp() public override {
        super.setUp();
        becomeSettler();
        jobId = fund(alice, type(uint96).max, type(uint96).max);
    }

    /// @dev Bob's leaf, and others of 1, 2, 3, … behind it.
    function leavesOf(address account, uint256 amount, uint256 others) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](others + 1);
        leaves[0] = Merkle.rewardLeaf(0, account, amount);
        for (uint256 i = 1; i <= others; ++i) {
            leaves[i] = Merkle.rewardLeaf(i, address(uint160(i)), i);
        }
    }

    function claimOf(uint256 epoch, uint256 index, address account, uint256 amount, bytes32[] memory leaves)
        private
        view
        returns (IRewards.Claim memory)
    {
        return IRewards.Claim(epoch, jobId, index, account, amount, Merkle.proof(leaves, index));
    }

    function refused(IRewards.Claim memory leaf) private {
        vm.expectRevert(
            abi.encodeWithSelector(
                IRewards.InvalidRewardProof.selector, leaf.epoch, leaf.jobId, leaf.index, leaf.account, leaf.amount
            )
        );
        rewards.claim(leaf);
    }

    function testFuzz_anyoneClaimsAndTheMoneyGoesToTheAccount(address caller, uint256 amount, uint8 others) public {
        amount = bound(amount, 1, type(uint96).max - 1000);
        bytes32[] memory leaves = leavesOf(bob, amount, bound(others, 0, 40));
        uint256 epoch = settle(jobId, amount + 900, Merkle.root(leaves));
        IRewards.Claim memory leaf = claimOf(epoch, 0, bob, amount, leaves);
        vm.expectEmit(address(rewards));
        emit IRewards.RewardPaid(epoch, jobId, bob, amount);
        vm.prank(caller);
        eq(rewards.claim(leaf), amount, "paid");
        eq(money.balanceOf(bob), amount, "balance");
        check(rewards.isClaimed(epoch, jobId, Merkle.root(leaves), 0), "claimed");
        eq(rewards.leftOf(epoch, jobId, Merkle.root(leaves)), 900, "left");
    }

    function testFuzz_aSecondClaimPaysNothing(uint256 amount) public {
        amount = bound(amount, 1, type(uint96).max);
        bytes32[] memory leaves = leavesOf(bob, amount, 3);
        uint256 epoch = settle(jobId, amount, Merkle.root(leaves));
        rewards.claim(claimOf(epoch, 0, bob, amount, leaves));
        eq(rewards.claim(claimOf(epoch, 0, bob, amount, leaves)), 0, "second");
        eq(money.balanceOf(bob), amount, "balance");
    }

    /// @dev The same tree in two epochs, and even the same root in two jobs: each pot pays by itself.
    function testFuzz_everyLinePaysByItself(uint256 amount, bool order) public {
        amount = bound(amount, 1, type(uint96).max / 4);
        bytes32[] memory leaves = leavesOf(bob, amount, 3);
        uint256[2] memory epochs =
            [settle(jobId, amount, Merkle.root(leaves)), settle(jobId, amount, Merkle.root(leaves))];
        bytes32 other = fund(carol, amount, amount);
        uint256 third = settle(other, amount, Merkle.root(leaves));
        IRewards.Claim memory foreign = claimOf(third, 0, bob, amount, leaves);
        refused(foreign);
        foreign.jobId = other;
        rewards.claim(foreign);
        rewards.claim(claimOf(epochs[order ? 0 : 1], 0, bob, amount, leaves));
        eq(money.balanceOf(bob), 2 * amount, "two of three");
        rewards.claim(claimOf(epochs[order ? 1 : 0], 0, bob, amount, leaves));
        eq(money.balanceOf(bob), 3 * amount, "all three");
    }

    function testFuzz_wrongLeavesAreRefused(uint256 index, address account, uint256 amount) public {
        bytes32[] memory leaves = leavesOf(bob, 100, 3);
        vm.assume(account != bob || amount != 100 || index != 0);
        uint256 epoch = settle(jobId, 100, Merkle.root(leaves));
        refused(IRewards.Claim(epoch, jobId, index, account, amount, Merkle.proof(leaves, 0)));
    }

    function testFuzz_wrongLinesAreRefused(uint256 epoch, bytes32 job) public {
        bytes32[] memory leaves = leavesOf(bob, 100, 3);
        uint256 right = settle(jobId, 100, Merkle.root(leaves));
        vm.assume(epoch != right || job != jobId);
        refused(IRewards.Claim(epoch, job, 0, bob, 100, Merkle.proof(leaves, 0)));
    }

    function testFuzz_tamperedProofsAreRefused(uint256 spot, bytes32 junk) public {
        bytes32[] memory leaves = leavesOf(bob, 100, 15);
        uint256 epoch = settle(jobId, 100, Merkle.root(leaves));
        IRewards.Claim memory leaf = claimOf(epoch, 0, bob, 100, leaves);
        spot = bound(spot, 0, leaf.proof.length - 1);
        vm.assume(leaf.proof[spot] != junk);
        leaf.proof[spot] = junk;
        refused(leaf);
    }

    function test_aPendingLinePaysNothing() public {
        bytes32[] memory leaves = leavesOf(bob, 100, 3);
        uint256 epoch = propose(jobId, 100, Merkle.root(leaves)).epoch;
        refused(claimOf(epoch, 0, bob, 100, leaves));
    }

    /// @dev Second pre-image: 64 bytes that hash to an inner node cannot be passed off as a leaf, for leaves are 96 bytes
    /// long and hashed twice.
    function testFuzz_innerNodesAreNoLeaves(uint256 left, uint256 right) public {
        bytes32[] memory leaves = new bytes32[](2);
        (leaves[0], leaves[1]) = (Merkle.rewardLeaf(0, bob, left), Merkle.rewardLeaf(1, alice, right));
        uint256 epoch = settle(jobId, 1, Merkle.root(leaves));
        address account = address(uint160(uint256(leaves[1])));
        refused(IRewards.Claim(epoch, jobId, uint256(leaves[0]), account, 0, new bytes32[](0)));
    }

    /// @dev Over many words of marks, in any order and with any repeats: each leaf is paid once, no neighbour is marked.
    function testFuzz_eachOfManyLeavesOnce(uint256 seed, uint256 count, uint256[20] memory order) public {
        (bytes32[] memory leaves, uint256 total) = treeOf(seed, bound(count, 1, 300));
        uint256 epoch = settle(jobId, total, Merkle.root(leaves));
        bool[] memory done = new bool[](leaves.length);
        for (uint256 k = 0; k < 20; ++k) {
            uint256 i = order[k] % leaves.length;
            uint256 amount = amountAt(seed, i);
            uint256 paid = claimAt(epoch, i, amount, leaves);
            eq(paid, done[i] ? 0 : amount, "once");
            total -= paid;
            done[i] = true;
        }
        bytes32 root = Merkle.root(leaves);
        for (uint256 i = 0; i < leaves.length; ++i) {
            check(rewards.isClaimed(epoch, jobId, root, i) == done[i], "no other is marked");
        }
        eq(rewards.leftOf(epoch, jobId, root), total, "left");
    }

    function claimAt(uint256 epoch, uint256 index, uint256 amount, bytes32[] memory leaves) private returns (uint256) {
        return rewards.claim(claimOf(epoch, index, accountAt(index), amount, leaves));
    }

    function treeOf(uint256 seed, uint256 count) private pure returns (bytes32[] memory leaves, uint256 total) {
        leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            total += amountAt(seed, i);
            leaves[i] = Merkle.rewardLeaf(i, accountAt(i), amountAt(seed, i));
        }
    }

    function amountAt(uint256 seed, uint256 index) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, index))) >> 180;
    }

    /// @dev A hostile tree: any indexes, also twice or huge, any amounts. It pays its line's amount at most, one leaf an
    /// index, and another job's pot of the same token stays whole.
    function testFuzz_aHostileTreeTakesNothingOfOthers(uint256[6] memory indexes, uint96[6] memory amounts, uint96 own)
        public
    {
        bytes32 other = fund(carol, type(uint96).max, type(uint96).max);
        settle(other, type(uint96).max, keccak256("others' pay"));
        bytes32[] memory leaves = new bytes32[](6);
        for (uint256 i = 0; i < 6; ++i) {
            if (i % 2 == 1 && indexes[i] % 2 == 0) indexes[i] = indexes[i - 1];
            leaves[i] = Merkle.rewardLeaf(indexes[i], bob, amounts[i]);
        }
        bytes32 root = Merkle.root(leaves);
        uint256 epoch = settle(jobId, own, root);
        for (uint256 i = 0; i < 6; ++i) {
            bytes32[] memory proof = Merkle.proof(leaves, i);
            bool before = rewards.isClaimed(epoch, jobId, root, indexes[i]);
            try rewards.claim(IRewards.Claim(epoch, jobId, indexes[i], bob, amounts[i], proof)) returns (uint256 paid) {
                eq(paid, before ? 0 : amounts[i], "one leaf an index");
            } catch {
                check(own == 0 || amounts[i] > rewards.leftOf(epoch, jobId, root), "only where the pot is too small");
            }
            eq(money.balanceOf(bob) + rewards.leftOf(epoch, jobId, root), own, "paid + left = amount");
        }
        eq(money.balanceOf(address(rewards)), uint256(type(uint96).max) + own - money.balanceOf(bob), "others' pay");
    }

    function test_whatIsNotInThePotIsRefused() public {
        bytes32[] memory leaves = leavesOf(bob, 100, 3);
        uint256 epoch = settle(jobId, 99, Merkle.root(leaves));
        vm.expectRevert(abi.encodeWithSelector(IRewards.PotExceeded.selector, epoch, jobId, 100, 99));
        rewards.claim(claimOf(epoch, 0, bob, 100, leaves));
        eq(rewards.claim(claimOf(epoch, 3, address(3), 3, leaves)), 3, "others of the tree go on");
    }

    function testFuzz_batchesPayExactly(uint256 seed, uint8 count_, uint256 repeats) public {
        uint256 count = bound(count_, 1, 30);
        (bytes32[] memory leaves, uint256 total) = treeOf(seed, count);
        uint256 epoch = settle(jobId, total, Merkle.root(leaves));
        IRewards.Claim[] memory claims = new IRewards.Claim[](2 * count);
        for (uint256 k = 0; k < 2 * count; ++k) {
            uint256 i = k < count ? k : uint256(keccak256(abi.encode(repeats, k))) % count;
            claims[k] = claimOf(epoch, i, accountAt(i), amountAt(seed, i), leaves);
        }
        uint256[] memory amounts = rewards.claimMany(claims);
        for (uint256 k = 0; k < 2 * count; ++k) {
            eq(amounts[k], k < count ? amountAt(seed, k) : 0, "repeats pay nothing");
        }
        eq(money.balanceOf(address(rewards)), 0, "paid out exactly");
    }

    /// @dev Neighbours share accounts.
    function accountAt(uint256 index) private pure returns (address) {
        return address(uint160(1000 + index / 3));
    }

    /// @dev Of one account's many lines in one token one transfer is made, and one for each token.
    function test_aBatchSendsAnAccountsMoneyTogether() public {
        IRewards.Claim[] memory claims = new IRewards.Claim[](6);
        bytes32 leaf = Merkle.rewardLeaf(0, bob, 7);
        for (uint256 i = 0; i < 5; ++i) {
            claims[i] = IRewards.Claim(settle(jobId, 7, leaf), jobId, 0, bob, 7, new bytes32[](0));
        }
        PlainToken other = new PlainToken();
        bytes32 job = fundIn(other, 7);
        claims[5] = IRewards.Claim(settle(job, 7, leaf), job, 0, bob, 7, new bytes32[](0));
        vm.expectCall(address(money), abi.encodeCall(money.transfer, (bob, 35)));
        rewards.claimMany(claims);
        eq(money.balanceOf(bob), 35, "all of it");
        eq(other.balanceOf(bob), 7, "and in the other token");
    }

    function test_aBatchPassesOverWhatWasClaimedInFrontOfIt() public {
        bytes32[] memory leaves = leavesOf(bob, 100, 1);
        uint256 epoch = settle(jobId, 101, Merkle.root(leaves));
        IRewards.Claim[] memory claims = new IRewards.Claim[](2);
        claims[0] = claimOf(epoch, 0, bob, 100, leaves);
        claims[1] = claimOf(epoch, 1, address(1), 1, leaves);
        rewards.claim(claims[0]);
        uint256[] memory amounts = rewards.claimMany(claims);
        eq(amounts[0], 0, "first was paid before");
        eq(amounts[1], 1, "second is paid");
    }

    function testFuzz_onlySettlementFunds(address caller) public {
        vm.assume(caller != address(settlement));
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IRewards.NotSettlement.selector, caller));
        rewards.fund(1, jobId, keccak256("mine"), address(money), 1);
    }

    function testFuzz_onlyRestitutionHolds(address caller) public {
        bytes memory refusal = abi.encodeWithSelector(IRewards.NotRestitution.selector, caller);
        bytes32[] memory leaves = leavesOf(bob, 100, 1);
        uint256 epoch = settle(jobId, 101, Merkle.root(leaves));
        vm.startPrank(caller);
        vm.expectRevert(refusal);
        rewards.hold(epoch, jobId, Merkle.root(leaves), 0);
        vm.expectRevert(refusal);
        rewards.release(epoch, jobId, Merkle.root(leaves), 0);
        vm.expectRevert(refusal);
        rewards.forfeit(claimOf(epoch, 0, bob, 100, leaves));
        vm.stopPrank();
    }

    /// @dev A hold marks its own leaf alone, and being claimed and being held don't touch each other.
    function testFuzz_marksAreApart(uint256 held, uint256 other) public {
        settlement.grantRole(rewards.RESTITUTION_ROLE(), address(this));
        vm.assume(held != other);
        bytes32 root = Merkle.rewardLeaf(other, bob, 1);
        rewards.hold(1, jobId, root, held);
        check(rewards.isHeld(1, jobId, root, held) && !rewards.isClaimed(1, jobId, root, held), "held");
        check(!rewards.isHeld(1, jobId, root, other), "no other");
        settle(jobId, 1, root);
        eq(rewards.claim(IRewards.Claim(1, jobId, other, bob, 1, new bytes32[](0))), 1, "the other is paid");
        rewards.release(1, jobId, root, other);
        rewards.release(1, jobId, root, held);
        check(!rewards.isHeld(1, jobId, root, held) && rewards.isClaimed(1, jobId, root, other), "released");
    }

    function test_claimsGoOnDuringAPause() public {
        bytes32[] memory leaves = leavesOf(bob, 100, 1);
        uint256 epoch = settle(jobId, 100, Merkle.root(leaves));
        settlement.pause();
        eq(rewards.claim(claimOf(epoch, 0, bob, 100, leaves)), 100, "paid");
    }
}
