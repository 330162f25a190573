// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "../src/interfaces/IJobEscrow.sol";
import { IRewards } from "../src/interfaces/IRewards.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { Fixture } from "./helpers/Fixture.sol";
import { Merkle } from "./helpers/Merkle.sol";
import { BlocklistToken, FeeToken, MoodyToken, NoReturnToken, PlainToken } from "./helpers/Tokens.sol";

contract HostileTokensTest is Fixture {
    /// @dev Most that one transaction may use (EIP-7825).
    uint256 private constant MOST_GAS = 16_777_216;

    function setUp() public override {
        super.setUp();
        becomeSettler();
    }

    function twoJobs(bytes32 a, bytes32 b, uint256 amount) private view returns (ISettlement.EpochContent memory) {
        bytes32[] memory jobs = new bytes32[](2);
        (jobs[0], jobs[1]) = (a, b);
        return contentOf(jobs, amount);
    }

    function claimOf(uint256 epoch, bytes32 jobId, address account, uint256 amount)
        private
        pure
        returns (IRewards.Claim memory)
    {
        return IRewards.Claim(epoch, jobId, 0, account, amount, new bytes32[](0));
    }

    /// @dev The line of an epoch of one job is neither paid nor lost, and holds nothing else up.
    function waits(uint256 epoch, bytes32 jobId, uint256 amount) private view {
        isStatus(epoch, ISettlement.Status.Pending);
        eq(escrow.jobOf(jobId).reserved, amount, "still promised");
        eq(settlement.bondOf(epoch), 0, "the bond is free");
        eq(rewards.leftOf(epoch, jobId, keccak256("root")), 0, "no pot");
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
        bytes32 jobId = fundIn(token, 10_000);
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
        uint256 epoch = settle(jobId, amount, Merkle.rewardLeaf(0, bob, amount));
        rewards.claim(claimOf(epoch, jobId, bob, amount));
        eq(token.balanceOf(bob), amount, "balance");
    }

    function test_anAddressWithoutCodeIsNoToken() public {
        vm.expectRevert();
        escrow.createJob(address(0xDEAD), 1, 1, 0);
    }

    /// @dev A refused line stays pending, to be tried again by anyone; nothing else waits for it.
    function testFuzz_aRefusingTokenStopsItsLineAlone(uint8 mood, address caller) public {
        MoodyToken moody = new MoodyToken();
        bytes32 bad = fundIn(moody, 100);
        bytes32 good = fund(alice, 100, 100);
        ISettlement.EpochContent memory content = twoJobs(bad, good, 100);
        uint256 line = content.jobs[0].jobId == bad ? 0 : 1;
        settlement.proposeEpoch(content);
        skip(WINDOW);
        moody.setMood(MoodyToken.Mood(bound(mood, 1, 3)));
        vm.expectEmit(address(settlement));
        emit ISettlement.LineRefused(1, line, bad);
        settlement.finaliseEpoch(content);
        isStatus(1, 1 - line, ISettlement.Status.Finalised);
        isStatus(1, line, ISettlement.Status.Pending);
        eq(rewards.leftOf(1, good, keccak256("root")), 100, "the good job paid");
        eq(settlement.bondOf(1), 0, "the bond is free");
        eq(registry.nodeOf(address(this)).locked, 0, "all of it");
        settlement.finaliseLines(content, type(uint64).max); // refused again
        isStatus(1, line, ISettlement.Status.Pending);
        moody.setMood(MoodyToken.Mood.Honest);
        vm.prank(caller);
        settlement.finaliseEpoch(content);
        isStatus(1, line, ISettlement.Status.Finalised);
        eq(rewards.leftOf(1, bad, keccak256("root")), 100, "and the bad one");
        eq(moody.balanceOf(address(rewards)), 100, "rewards' balance");
        nothingToPay(content);
    }

    /// @dev As long as it is not paid it can be challenged, rejected, convicted and unwound; the bond is freed once.
    function testFuzz_aRefusedLineIsStillJudged(uint8 how) public {
        MoodyToken moody = new MoodyToken();
        bytes32 jobId = fundIn(moody, 100);
        moody.setMood(MoodyToken.Mood.ReturnsFalse);
        uint256 other = settlement.nextEpoch();
        propose(fund(alice, 1, 1), 1, keccak256("root")); // its bond must stay
        ISettlement.EpochContent memory content = propose(jobId, 100, keccak256("root"));
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        waits(2, jobId, 100);
        how = uint8(bound(how, 0, 3));
        if (how != 2) settlement.freeze(2, 0);
        moody.setMood(MoodyToken.Mood.Honest);
        if (how != 2) nothingToPay(content);
        if (how == 0) settlement.unfreeze(2, 0, false);
        if (how == 1) settlement.unfreeze(2, 0, true);
        if (how == 2) settlement.convict(2);
        if (how == 3) settlement.reject(2, 0);
        isStatus(2, how == 0 ? ISettlement.Status.Pending : ISettlement.Status.Rejected);
        eq(registry.nodeOf(address(this)).locked, settlement.bondOf(other), "no other bond is freed");
        eq(settlement.bondOf(other), BASE_BOND, "the other epoch's");
        eq(registry.nodeOf(address(this)).stake, SETTLER_STAKE, "this one's was free");
        if (how != 0) nothingToPay(content);
        if (how == 0) settlement.finaliseEpoch(content);
        else settlement.unwindEpoch(content);
        nothingToPay(content);
        eq(moody.balanceOf(address(rewards)), how == 0 ? 100 : 0, "paid, or given back");
        eq(escrow.jobOf(jobId).available, how == 0 ? 0 : 100, "once");
    }

    function test_aTokenThatVanishesStopsItsLineAlone() public {
        MoodyToken token = new MoodyToken();
        bytes32 jobId = fundIn(token, 100);
        vm.etch(address(token), "");
        waits(settle(jobId, 100, keccak256("root")), jobId, 100);
    }

    function test_aBlocklistedRewardsContractStopsItsLinesAlone() public {
        BlocklistToken token = new BlocklistToken();
        bytes32 jobId = fundIn(token, 100);
        token.setBlocked(address(rewards), true);
        waits(settle(jobId, 100, keccak256("root")), jobId, 100);
        settle(fund(alice, 100, 100), 100, keccak256("root"));
        eq(money.balanceOf(address(rewards)), 100, "a later epoch is paid");
        token.mint(alice, 50);
        vm.startPrank(alice);
        escrow.topUp(jobId, 50);
        escrow.close(jobId);
        vm.stopPrank();
        skip(GRACE);
        eq(escrow.refund(jobId), 50, "the rest of the job's own budget goes back");
    }

    /// @dev However many lines burn the gas they get: sixteen at a time stay below half of what a transaction may use.
    function test_sixtyFourBurningTokensFitTheBlock() public {
        bytes32[] memory jobs = new bytes32[](64);
        MoodyToken[] memory tokens = new MoodyToken[](64);
        for (uint256 i = 0; i < 64; ++i) {
            tokens[i] = new MoodyToken();
            jobs[i] = fundIn(tokens[i], 10);
        }
        ISettlement.EpochContent memory content = contentOf(jobs, 1);
        settlement.proposeEpoch(content);
        skip(WINDOW);
        for (uint256 i = 0; i < 64; ++i) {
            tokens[i].setMood(MoodyToken.Mood.BurnsGas);
        }
        for (uint256 part = 0; part < 4; ++part) {
            uint256 before = gasleft();
            settlement.finaliseLines{ gas: MOST_GAS }(content, uint64(0xFFFF << (16 * part)));
            atMost(before - gasleft(), MOST_GAS / 2, "gas of 16 lines");
        }
        eq(settlement.epochOf(1).paid, 0, "none moved");
        eq(settlement.bondOf(1), 0, "the bond is free");
        settlement.convict(1);
        settlement.unwindEpoch{ gas: MOST_GAS }(content);
    }

    function test_aBlockedAccountBlocksNobodyElse() public {
        BlocklistToken token = new BlocklistToken();
        bytes32 jobId = fundIn(token, 100);
        bytes32[] memory leaves = new bytes32[](2);
        (leaves[0], leaves[1]) = (Merkle.rewardLeaf(0, bob, 50), Merkle.rewardLeaf(1, carol, 50));
        uint256 epoch = settle(jobId, 100, Merkle.root(leaves));
        token.setBlocked(bob, true);
        IRewards.Claim memory bobs = IRewards.Claim(epoch, jobId, 0, bob, 50, Merkle.proof(leaves, 0));
        vm.expectRevert(abi.encodeWithSelector(BlocklistToken.Blocked.selector, bob));
        rewards.claim(bobs);
        IRewards.Claim memory carols = IRewards.Claim(epoch, jobId, 1, carol, 50, Merkle.proof(leaves, 1));
        eq(rewards.claim(carols), 50, "carol");
        token.setBlocked(bob, false);
        eq(rewards.claim(bobs), 50, "bob, once unblocked");
    }

    function test_starvingATransferOfGasFails() public {
        bytes32 jobId = fund(alice, 100, 100);
        ISettlement.EpochContent memory content = propose(jobId, 100, keccak256("root"));
        skip(WINDOW);
        vm.expectRevert(IJobEscrow.GasTooLow.selector);
        settlement.finaliseEpoch{ gas: 225_000 }(content);
    }
}
