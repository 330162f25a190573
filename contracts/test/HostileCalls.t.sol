// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { IRewards } from "../src/interfaces/IRewards.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { Fixture } from "./helpers/Fixture.sol";
import { Merkle } from "./helpers/Merkle.sol";
import { CallbackToken, TurncoatToken } from "./helpers/Tokens.sol";

/// @dev Tokens that call back, or lie about what they moved.
contract HostileCallsTest is Fixture {
    function setUp() public override {
        super.setUp();
        becomeSettler();
    }

    function claimOf(uint256 epoch, bytes32 jobId, address account, uint256 amount)
        private
        pure
        returns (IRewards.Claim memory)
    {
        return IRewards.Claim(epoch, jobId, 0, account, amount, new bytes32[](0));
    }

    function test_reenteredTopUpIsNotCountedTwice() public {
        CallbackToken token = new CallbackToken();
        bytes32 jobId = fundIn(token, 100);
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

    /// @dev Forfeited money that arrives in the midst of a top-up would be measured with it.
    function test_nothingIsRestoredDuringATopUp() public {
        CallbackToken token = new CallbackToken();
        bytes32 jobId = fundIn(token, 100);
        uint256 epoch = settle(jobId, 100, Merkle.rewardLeaf(0, bob, 60));
        settlement.grantRole(rewards.RESTITUTION_ROLE(), address(token));
        token.mint(alice, 100);
        token.arm(address(rewards), abi.encodeCall(rewards.forfeit, (claimOf(epoch, jobId, bob, 60))));
        vm.prank(alice);
        escrow.topUp(jobId, 100);
        check(token.calls() == 1 && !token.succeeded(), "the nested call failed");
        eq(escrow.jobOf(jobId).available, 100, "available");
        eq(token.balanceOf(address(escrow)), 100, "and there");
        eq(rewards.claim(claimOf(epoch, jobId, bob, 60)), 60, "nothing was forfeited");
    }

    function test_reenteredRefundPaysOnce() public {
        CallbackToken token = new CallbackToken();
        bytes32 jobId = fundIn(token, 100);
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
        bytes32 jobId = fundIn(token, 100);
        uint256 epoch = settle(jobId, 100, Merkle.rewardLeaf(0, bob, 60));
        token.arm(address(rewards), abi.encodeCall(rewards.claim, (claimOf(epoch, jobId, bob, 60))));
        rewards.claim(claimOf(epoch, jobId, bob, 60));
        check(token.calls() == 1, "it did call back");
        eq(token.balanceOf(bob), 60, "paid once");
        eq(token.balanceOf(address(rewards)), 40, "rewards' balance");
    }

    /// @dev In a batch the transfer comes after several leaves: none of them is there to be claimed again.
    function test_reenteredBatchPaysOnce() public {
        CallbackToken token = new CallbackToken();
        bytes32 jobId = fundIn(token, 100);
        IRewards.Claim[] memory claims = new IRewards.Claim[](4);
        for (uint256 i = 0; i < 4; ++i) {
            skip(CAP_PERIOD);
            address account = i < 2 ? bob : carol;
            claims[i] = claimOf(settle(jobId, 20, Merkle.rewardLeaf(0, account, 20)), jobId, account, 20);
        }
        token.arm(address(rewards), abi.encodeCall(rewards.claimMany, (claims)));
        rewards.claimMany(claims);
        check(token.calls() == 1 && token.succeeded(), "it did call back");
        eq(token.balanceOf(bob), 40, "bob");
        eq(token.balanceOf(carol), 40, "carol");
        eq(token.balanceOf(address(rewards)), 0, "rewards' balance");
    }

    /// @dev While a line is paid, everything that changes lines is shut, for the courts as well.
    function testFuzz_whileALineIsPaidLinesAreShut(uint8 how, bool refuses) public {
        TurncoatToken token = new TurncoatToken();
        bytes32 jobId = fundIn(token, 100);
        ISettlement.EpochContent memory content = propose(jobId, 50, keccak256("root"));
        ISettlement.EpochContent memory next = propose(jobId, 50, keccak256("root"));
        skip(WINDOW);
        settlement.grantRole(settlement.DISPUTES_ROLE(), address(token));
        bytes[7] memory calls = [
            abi.encodeCall(settlement.finaliseEpoch, (content)),
            abi.encodeCall(settlement.finaliseLines, (next, 1)),
            abi.encodeCall(settlement.unwindEpoch, (content)),
            abi.encodeCall(settlement.freeze, (1, 0)),
            abi.encodeCall(settlement.unfreeze, (1, 0, true)),
            abi.encodeCall(settlement.reject, (2, 0)),
            abi.encodeCall(settlement.convict, (1))
        ];
        token.arm(address(settlement), calls[bound(how, 0, 6)]);
        token.setRefusing(refuses);
        settlement.finaliseEpoch(content);
        check(token.calls() == 1 && !token.succeeded(), "the nested call failed");
        eq(
            bytes32(bytes4(token.returned())),
            bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector),
            "because of the guard"
        );
        isStatus(1, refuses ? ISettlement.Status.Pending : ISettlement.Status.Finalised);
        isStatus(2, ISettlement.Status.Pending);
        eq(token.balanceOf(address(rewards)), refuses ? 0 : 50, "rewards' balance");
        token.setRefusing(false);
        settlement.finaliseEpoch(next);
        if (refuses) settlement.finaliseEpoch(content);
        eq(token.balanceOf(address(rewards)), 100, "rewards' balance");
    }

    /// @dev A token that lies about what it moved robs those who are paid in it, and nobody else.
    function test_aLyingTokenTakesItsOwnMoneyAlone() public {
        TurncoatToken token = new TurncoatToken();
        bytes32 jobId = fundIn(token, 100);
        bytes32 honest = fund(alice, 100, 100);
        settle(honest, 100, Merkle.rewardLeaf(0, carol, 100));
        token.setLying(true);
        uint256 epoch = settle(jobId, 100, Merkle.rewardLeaf(0, bob, 100));
        isStatus(epoch, ISettlement.Status.Finalised);
        rewards.claim(claimOf(epoch, jobId, bob, 100));
        eq(token.balanceOf(bob) + money.balanceOf(bob), 0, "nothing came");
        eq(rewards.claim(claimOf(1, honest, carol, 100)), 100, "the honest token's pot is whole");
    }
}
