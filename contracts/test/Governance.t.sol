// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { IGovernor } from "@openzeppelin/contracts/governance/IGovernor.sol";
import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";
import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { IRewards } from "../src/interfaces/IRewards.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { R1Governor } from "../src/R1Governor.sol";
import { R1Timelock } from "../src/R1Timelock.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";
import { Merkle } from "./helpers/Merkle.sol";

contract GovernanceTest is DisputeFixture {
    uint256 private constant DELAY = 2 days;
    uint256 private constant THRESHOLD = 1000 ether;

    R1Timelock private timelock;
    R1Governor private governor;
    address private guardian = address(0x6A4D);

    function setUp() public override {
        super.setUp();
        timelock = new R1Timelock(DELAY, address(this));
        governor = new R1Governor(r1, registry, timelock, 1 days, 7 days, THRESHOLD, 4);
        settlement.grantRole(settlement.GUARDIAN_ROLE(), guardian);
        timelock.grantRole(timelock.PROPOSER_ROLE(), address(governor));
        timelock.grantRole(timelock.CANCELLER_ROLE(), address(governor));
        IAccessControl[4] memory governed =
            [IAccessControl(settlement), IAccessControl(registry), IAccessControl(disputes), IAccessControl(fraud)];
        for (uint256 i = 0; i < 4; ++i) {
            governed[i].grantRole(0, address(timelock));
            governed[i].renounceRole(0, address(this));
        }
        timelock.renounceRole(0, address(this));
        r1.delegate(address(this));
        skip(1);
    }

    function pass(address target, bytes memory data) private {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = lists(target, data);
        uint256 id = governor.propose(targets, values, calls, "why");
        skip(1 days + 1);
        governor.castVote(id, 1);
        skip(7 days);
        governor.queue(targets, values, calls, keccak256("why"));
        vm.expectRevert();
        governor.execute(targets, values, calls, keccak256("why"));
        skip(DELAY);
        governor.execute(targets, values, calls, keccak256("why"));
    }

    function lists(address target, bytes memory data)
        private
        pure
        returns (address[] memory targets, uint256[] memory values, bytes[] memory calls)
    {
        (targets, values, calls) = (new address[](1), new uint256[](1), new bytes[](1));
        (targets[0], calls[0]) = (target, data);
    }

    function test_aVoteChangesTheChallengeWindow() public {
        pass(address(settlement), abi.encodeCall(settlement.setChallengeWindow, (3 days)));
        eq(settlement.challengeWindow(), 3 days, "window");
    }

    function test_aVoteChangesTheStakeParameters() public {
        pass(address(registry), abi.encodeCall(registry.setParameters, (5 ether, 20 days)));
        eq(registry.minStake(), 5 ether, "minimum");
    }

    function test_aVoteChangesTheDisputeParameters() public {
        pass(address(disputes), abi.encodeCall(disputes.setParameters, (defaults())));
        pass(address(fraud), abi.encodeCall(fraud.setPenalty, (7)));
        eq(fraud.penalty(), 7, "penalty");
    }

    function test_aVoteChangesTheVotingItself() public {
        pass(address(governor), abi.encodeCall(governor.setVotingPeriod, (3 days)));
        eq(governor.votingPeriod(), 3 days, "period");
        vm.expectRevert(abi.encodeWithSelector(IGovernor.GovernorOnlyExecutor.selector, address(this)));
        governor.setVotingPeriod(1);
    }

    function test_aVoteReplacesTheRestitution() public {
        bytes32 role = rewards.RESTITUTION_ROLE();
        pass(address(settlement), abi.encodeCall(settlement.grantRole, (role, carol)));
        vm.prank(carol);
        rewards.hold(1, jobId, keccak256("root"), 0);
        check(rewards.isHeld(1, jobId, keccak256("root"), 0), "held");
    }

    function test_aVoteReplacesASettler() public {
        pass(address(settlement), abi.encodeCall(settlement.grantRole, (settlement.SETTLER_ROLE(), carol)));
        check(settlement.hasRole(settlement.SETTLER_ROLE(), carol), "settler");
    }

    function test_aDefeatedProposalIsNotQueued() public {
        bytes memory data = abi.encodeCall(settlement.setChallengeWindow, (3 days));
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = lists(address(settlement), data);
        uint256 id = governor.propose(targets, values, calls, "why");
        skip(1 days + 1);
        governor.castVote(id, 0);
        skip(7 days);
        vm.expectRevert();
        governor.queue(targets, values, calls, keccak256("why"));
    }

    function test_theProposerMayCancelWhilePending() public {
        bytes memory data = abi.encodeCall(settlement.setChallengeWindow, (3 days));
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = lists(address(settlement), data);
        uint256 id = governor.propose(targets, values, calls, "why");
        check(governor.proposalNeedsQueuing(id), "goes through the timelock");
        governor.cancel(targets, values, calls, keccak256("why"));
        eq(uint256(governor.state(id)), uint256(IGovernor.ProposalState.Canceled), "cancelled");
    }

    function testFuzz_proposingNeedsVotes(address caller) public {
        vm.assume(caller != address(this));
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = lists(address(settlement), "");
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IGovernor.GovernorInsufficientProposerVotes.selector, caller, 0, THRESHOLD)
        );
        governor.propose(targets, values, calls, "why");
    }

    function testFuzz_nobodyButTheTimelockIsAdmin(address caller) public {
        vm.assume(caller != address(timelock) && caller != address(governor));
        bytes memory refusal =
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, bytes32(0));
        bytes32 settlerRole = settlement.SETTLER_ROLE();
        vm.startPrank(caller);
        vm.expectRevert(refusal);
        settlement.setChallengeWindow(1);
        vm.expectRevert(refusal);
        settlement.grantRole(settlerRole, caller);
        vm.expectRevert(refusal);
        registry.setParameters(1, 1);
        vm.expectRevert(refusal);
        registry.grantRole(0, caller);
        vm.expectRevert(refusal);
        disputes.setParameters(defaults());
        vm.expectRevert(refusal);
        fraud.setPenalty(1);
        vm.expectRevert();
        timelock.schedule(caller, 0, "", 0, 0, DELAY);
        vm.stopPrank();
    }

    function testFuzz_theGuardianMovesNoMoney(uint256 amount) public {
        amount = bound(amount, 1, 1000);
        bytes32[] memory leaves = new bytes32[](2);
        leaves[0] = Merkle.rewardLeaf(0, carol, amount);
        uint256 epoch = settle(jobId, amount, Merkle.root(leaves));
        vm.prank(alice);
        escrow.close(jobId);
        vm.prank(carol);
        registry.deactivate();
        skip(UNBONDING);
        vm.startPrank(guardian);
        settlement.pause();
        vm.expectRevert();
        settlement.reject(1, 0);
        vm.expectRevert();
        registry.lock(alice, 1);
        vm.expectRevert();
        escrow.pay(jobId, 1);
        vm.stopPrank();
        rewards.claim(IRewards.Claim(epoch, jobId, 0, carol, amount, Merkle.proof(leaves, 0)));
        escrow.refund(jobId);
        vm.prank(carol);
        registry.withdraw();
        eq(money.balanceOf(guardian) + r1.balanceOf(guardian), 0, "nothing");
        eq(money.balanceOf(carol), amount, "claimed during the pause");
        eq(r1.balanceOf(carol), STAKE, "withdrawn during the pause");
    }

    /// @dev 10,000 R1 staked vote as 10,000 R1 held do, and nothing votes twice.
    function test_stakedR1Votes() public {
        vm.prank(alice);
        r1.delegate(alice);
        uint256 whole = r1.getVotes(address(this));
        skip(1);
        eq(governor.getVotes(alice, block.timestamp - 1), STAKE, "staked");
        r1.transfer(alice, STAKE);
        skip(1);
        eq(governor.getVotes(alice, block.timestamp - 1), 2 * STAKE, "staked and held");
        vm.startPrank(alice);
        r1.approve(address(registry), STAKE);
        registry.addStake(STAKE);
        vm.stopPrank();
        skip(1);
        eq(governor.getVotes(alice, block.timestamp - 1), 2 * STAKE, "moved, not doubled");
        eq(governor.getVotes(address(registry), block.timestamp - 1), 0, "the registry has no vote");
        eq(governor.getVotes(address(this), block.timestamp - 1), whole - STAKE, "gave it away");
    }

    function test_stakersCanPropose() public {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = lists(address(settlement), "");
        vm.prank(alice);
        uint256 id = governor.propose(targets, values, calls, "of a staker");
        skip(1 days + 1);
        vm.prank(bob);
        governor.castVote(id, 1);
        (, uint256 votes,) = governor.proposalVotes(id);
        eq(votes, STAKE, "a staker's votes");
    }

    function test_aPauseDelaysDisputesAndEndsNone() public {
        uint256 id = openLineDispute();
        vm.prank(guardian);
        settlement.pause();
        skip(settlement.MAX_PAUSE());
        vm.expectPartialRevert(IDisputes.TooEarly.selector);
        disputes.resolve(id);
        skip(ANSWER);
        disputes.resolve(id);
        isStatus(1, ISettlement.Status.Rejected);
    }

    function test_aVoteEndsAPauseEarly() public {
        vm.prank(guardian);
        settlement.pause();
        uint256 until = settlement.pausedUntil();
        vm.prank(address(timelock));
        settlement.unpause();
        atMost(settlement.pausedUntil(), until - 1, "earlier");
    }

    function test_timelockDelayHolds() public {
        eq(timelock.getMinDelay(), DELAY, "delay");
        check(timelock.hasRole(timelock.EXECUTOR_ROLE(), address(0)), "anyone executes");
        vm.prank(address(governor));
        vm.expectRevert(abi.encodeWithSelector(TimelockController.TimelockInsufficientDelay.selector, DELAY - 1, DELAY));
        timelock.schedule(address(settlement), 0, "", 0, 0, DELAY - 1);
    }
}
