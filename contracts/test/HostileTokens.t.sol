// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { IJobEscrow } from "../src/interfaces/IJobEscrow.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { Fixture } from "./helpers/Fixture.sol";
import { Merkle } from "./helpers/Merkle.sol";
import { BlocklistToken, CallbackToken, FeeToken, MoodyToken, NoReturnToken, PlainToken } from "./helpers/Tokens.sol";

contract HostileTokensTest is Fixture {
    function setUp() public override {
        super.setUp();
        becomeSettler();
    }

    function jobIn(PlainToken token, uint256 amount) private returns (bytes32) {
        token.mint(alice, amount);
        vm.startPrank(alice);
        token.approve(address(escrow), type(uint256).max);
        bytes32 jobId = escrow.createJob(address(token), amount, amount, 0);
        vm.stopPrank();
        return jobId;
    }

    function twoJobs(bytes32 a, bytes32 b, uint256 amount) private view returns (ISettlement.EpochContent memory) {
        ISettlement.EpochContent memory content = contentOf(a, amount, keccak256("root"));
        content.jobs = new ISettlement.JobSettlement[](2);
        (content.jobs[0], content.jobs[1]) =
            a < b ? (lineOf(a, amount), lineOf(b, amount)) : (lineOf(b, amount), lineOf(a, amount));
        return content;
    }

    function testFuzz_feeOnTransferIsRefused(uint256 amount, uint256 fee) public {
        amount = bound(amount, 10_000, type(uint96).max);
        fee = bound(fee, 1, 10_000);
        FeeToken token = new FeeToken();
        token.setFee(fee);
        token.mint(alice, amount);
        vm.startPrank(alice);
        token.approve(address(escrow), amount);
        vm.expectPartialRevert(IJobEscrow.UnsupportedToken.selector);
        escrow.createJob(address(token), amount, 1, 0);
        vm.stopPrank();
    }

    function test_aFeeSwitchedOnLaterStopsTopUps() public {
        FeeToken token = new FeeToken();
        bytes32 jobId = jobIn(token, 10_000);
        token.setFee(100);
        token.mint(alice, 10_000);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.UnsupportedToken.selector, address(token), 10_000, 9_900));
        escrow.topUp(jobId, 10_000);
    }

    function testFuzz_tokensWithoutReturnValueWork(uint256 amount) public {
        amount = bound(amount, 1, type(uint96).max);
        NoReturnToken token = new NoReturnToken();
        token.mint(alice, amount);
        vm.startPrank(alice);
        token.approve(address(escrow), amount);
        bytes32 jobId = escrow.createJob(address(token), amount, amount, 0);
        vm.stopPrank();
        bytes32 leaf = Merkle.rewardLeaf(address(token), bob, amount);
        settle(jobId, amount, leaf);
        rewards.claim(address(token), bob, amount, new bytes32[](0));
        eq(token.balanceOf(bob), amount, "balance");
    }

    function test_anAddressWithoutCodeIsNoToken() public {
        vm.expectRevert();
        escrow.createJob(address(0xDEAD), 1, 1, 0);
    }

    function testFuzz_aRefusingTokenDoesNotStopTheEpoch(uint8 mood) public {
        MoodyToken moody = new MoodyToken();
        bytes32 bad = jobIn(moody, 100);
        bytes32 good = fund(alice, 100, 100);
        ISettlement.EpochContent memory content = twoJobs(bad, good, 100);
        settlement.proposeEpoch(content);
        skip(WINDOW);
        moody.setMood(MoodyToken.Mood(bound(mood, 1, 3)));
        settlement.finaliseEpoch(content);
        isStatus(1, ISettlement.Status.Finalised);
        eq(money.balanceOf(address(rewards)), 100, "the good job paid");
        eq(escrow.undelivered(address(moody)), 100, "the bad one waits");
        moody.setMood(MoodyToken.Mood.Honest);
        eq(escrow.deliver(address(moody)), 100, "delivered");
        eq(moody.balanceOf(address(rewards)), 100, "rewards' balance");
        vm.expectRevert(IJobEscrow.ZeroAmount.selector);
        escrow.deliver(address(moody));
    }

    function test_aTokenThatVanishesDoesNotStopTheEpoch() public {
        MoodyToken token = new MoodyToken();
        bytes32 jobId = jobIn(token, 100);
        vm.etch(address(token), "");
        settle(jobId, 100, keccak256("root"));
        isStatus(1, ISettlement.Status.Finalised);
        eq(escrow.undelivered(address(token)), 100, "waits");
    }

    function test_aBlocklistedRewardsContractDoesNotStopTheEpoch() public {
        BlocklistToken token = new BlocklistToken();
        bytes32 jobId = jobIn(token, 100);
        token.setBlocked(address(rewards), true);
        settle(jobId, 100, keccak256("root"));
        eq(escrow.undelivered(address(token)), 100, "waits");
        vm.expectRevert(abi.encodeWithSelector(BlocklistToken.Blocked.selector, address(rewards)));
        escrow.deliver(address(token));
        eq(escrow.undelivered(address(token)), 100, "waits still");
    }

    function test_aBlockedAccountBlocksNobodyElse() public {
        BlocklistToken token = new BlocklistToken();
        bytes32 jobId = jobIn(token, 100);
        bytes32[] memory leaves = new bytes32[](2);
        leaves[0] = Merkle.rewardLeaf(address(token), bob, 50);
        leaves[1] = Merkle.rewardLeaf(address(token), carol, 50);
        settle(jobId, 100, Merkle.root(leaves));
        token.setBlocked(bob, true);
        bytes32[] memory proof = Merkle.proof(leaves, 0);
        vm.expectRevert(abi.encodeWithSelector(BlocklistToken.Blocked.selector, bob));
        rewards.claim(address(token), bob, 50, proof);
        eq(rewards.claim(address(token), carol, 50, Merkle.proof(leaves, 1)), 50, "carol");
        token.setBlocked(bob, false);
        eq(rewards.claim(address(token), bob, 50, proof), 50, "bob, once unblocked");
    }

    function test_starvingATransferOfGasFails() public {
        bytes32 jobId = fund(alice, 100, 100);
        ISettlement.EpochContent memory content = propose(jobId, 100, keccak256("root"));
        skip(WINDOW);
        vm.expectRevert(IJobEscrow.GasTooLow.selector);
        settlement.finaliseEpoch{ gas: 225_000 }(content);
    }

    function test_reenteredTopUpIsNotCountedTwice() public {
        CallbackToken token = new CallbackToken();
        bytes32 jobId = jobIn(token, 100);
        token.mint(alice, 100);
        token.mint(address(token), 100);
        token.arm(address(escrow), abi.encodeCall(escrow.topUp, (jobId, 100)));
        vm.prank(alice);
        escrow.topUp(jobId, 100);
        check(!token.succeeded(), "the nested call failed");
        eq(
            bytes32(bytes4(token.returned())),
            bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector),
            "because of the guard"
        );
        eq(escrow.jobOf(jobId).funded, 200, "funded");
    }

    function test_reenteredRefundPaysOnce() public {
        CallbackToken token = new CallbackToken();
        bytes32 jobId = jobIn(token, 100);
        vm.prank(alice);
        escrow.close(jobId);
        skip(GRACE);
        token.arm(address(escrow), abi.encodeCall(escrow.refund, (jobId)));
        escrow.refund(jobId);
        check(token.calls() == 1 && !token.succeeded(), "the nested call failed");
        eq(token.balanceOf(alice), 100, "refunded once");
    }

    function test_reenteredClaimPaysOnce() public {
        CallbackToken token = new CallbackToken();
        bytes32 jobId = jobIn(token, 100);
        settle(jobId, 100, Merkle.rewardLeaf(address(token), bob, 60));
        bytes memory again = abi.encodeCall(rewards.claim, (address(token), bob, 60, new bytes32[](0)));
        token.arm(address(rewards), again);
        rewards.claim(address(token), bob, 60, new bytes32[](0));
        check(token.calls() == 1, "it did call back");
        eq(token.balanceOf(bob), 60, "paid once");
        eq(token.balanceOf(address(rewards)), 40, "rewards' balance");
    }

    function test_reenteredFinaliseAndDeliverChangeNothing() public {
        CallbackToken token = new CallbackToken();
        bytes32 jobId = jobIn(token, 100);
        ISettlement.EpochContent memory content = propose(jobId, 50, keccak256("root"));
        ISettlement.EpochContent memory next = propose(jobId, 50, keccak256("next"));
        skip(WINDOW);
        token.arm(address(settlement), abi.encodeCall(settlement.finaliseEpoch, (next)));
        settlement.finaliseEpoch(content);
        check(!token.succeeded(), "the nested call failed");
        eq(rewards.root(), keccak256("root"), "root");
        eq(token.balanceOf(address(rewards)), 50, "rewards' balance");
        settlement.finaliseEpoch(next);
        eq(token.balanceOf(address(rewards)), 100, "rewards' balance");
    }
}
