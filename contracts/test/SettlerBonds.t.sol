// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { IJobEscrow } from "../src/interfaces/IJobEscrow.sol";
import { INodeRegistry } from "../src/interfaces/INodeRegistry.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { ISettlerBonds } from "../src/interfaces/ISettlerBonds.sol";
import { IVerifierPool } from "../src/interfaces/IVerifierPool.sol";
import { Settlement } from "../src/Settlement.sol";
import { Fixture } from "./helpers/Fixture.sol";

/// @notice Bob settles, and may lie. This contract is the court.
contract SettlerBondsTest is Fixture {
    uint96 private constant BASE = 500 ether;
    uint96 private constant RATE = 1 ether;
    uint256 private constant STAKE = 2000 ether;
    bytes32 private jobId;

    function setUp() public override {
        super.setUp();
        settlement.setBondTerms(ISettlerBonds.BondTerms(BASE, RATE));
        settlement.grantRole(settlement.SETTLER_ROLE(), bob);
        register(bob, STAKE);
        jobId = fund(alice, 64_000 ether, 1000 ether);
    }

    function proposeAs(address settler, uint256 amount) private returns (ISettlement.EpochContent memory content) {
        content = contentOf(jobId, amount, keccak256("root"));
        vm.prank(settler);
        settlement.proposeEpoch(content);
    }

    function refuse(bytes memory reason) private {
        ISettlement.EpochContent memory content = contentOf(jobId, 1, keccak256("root"));
        vm.prank(bob);
        vm.expectRevert(reason);
        settlement.proposeEpoch(content);
    }

    function testFuzz_theBondGrowsWithTheMoney(uint256 amount, uint96 rate, bool listed) public {
        amount = bound(amount, 0, 1000 ether);
        rate = uint96(bound(rate, 0, 1.5 ether));
        if (listed) settlement.setBondRate(address(money), rate);
        else settlement.setBondTerms(ISettlerBonds.BondTerms(BASE, rate));
        eq(settlement.bondTerms().base, BASE, "base");
        eq(settlement.bondRate(address(money)), rate, "rate");
        uint256 bond = BASE + amount * rate / 1e18;
        proposeAs(bob, amount);
        eq(registry.nodeOf(bob).locked, bond, "locked");
        uint256 kept = settlement.bondOf(1);
        eq(kept, bond, "kept");
    }

    function testFuzz_freeStakeMustCoverTheBond(uint256 locked) public {
        locked = bound(locked, STAKE - BASE + 1, STAKE);
        registry.lock(bob, locked);
        refuse(abi.encodeWithSelector(ISettlerBonds.SettlerBondNotCovered.selector, bob, BASE + 1, STAKE - locked));
    }

    function test_sixtyFourEpochsInOneBlockTakeNoMoreThanOne() public {
        proposeAs(bob, 1000 ether);
        refuse(abi.encodeWithSelector(IJobEscrow.EpochCapExceeded.selector, jobId, 1, 0));
        eq(escrow.jobOf(jobId).reserved, 1000 ether, "one cap");
    }

    function test_bondsOfPendingEpochsAddUp() public {
        proposeAs(bob, 500 ether);
        proposeAs(bob, 400 ether);
        eq(registry.nodeOf(bob).locked, 1900 ether, "both");
        refuse(abi.encodeWithSelector(ISettlerBonds.SettlerBondNotCovered.selector, bob, BASE + 1, 100 ether));
    }

    function test_whoIsLeavingOrHasLeftDoesNotSettle() public {
        bytes memory reason = abi.encodeWithSelector(ISettlerBonds.SettlerNotActive.selector, bob);
        vm.prank(bob);
        registry.deactivate();
        refuse(reason);
        skip(UNBONDING);
        refuse(reason);
        vm.prank(bob);
        registry.withdraw();
        refuse(reason);
    }

    function testFuzz_nobodyLeavesBeforeHisEpochsAreFinal(uint256 wait) public {
        ISettlement.EpochContent memory content = proposeAs(bob, 10);
        vm.prank(bob);
        registry.deactivate();
        skip(bound(wait, UNBONDING, 365 days));
        vm.prank(bob);
        vm.expectPartialRevert(INodeRegistry.StakeIsLocked.selector);
        registry.withdraw();
        settlement.finaliseEpoch(content);
        vm.prank(bob);
        eq(registry.withdraw(), STAKE, "with all his stake");
    }

    function test_aConvictedSettlerIsSuspendedAndLosesTheBond() public {
        proposeAs(bob, 300 ether);
        proposeAs(bob, 100 ether);
        settlement.freeze(1, 0);
        settlement.unfreeze(1, 0, true);
        eq(registry.nodeOf(bob).stake, STAKE - BASE - 300 ether, "the wrong epoch's bond is burned");
        eq(registry.nodeOf(bob).locked, BASE + 100 ether, "the other's is not touched");
        isStatus(1, ISettlement.Status.Rejected);
        isStatus(2, ISettlement.Status.Pending);
        refuse(abi.encodeWithSelector(ISettlerBonds.SettlerSuspended.selector, bob));
        settlement.reinstate(bob);
        proposeAs(bob, 10);
    }

    /// @dev What he proposed before stays open to challenge, and costs him its bond as well.
    function test_hisOtherEpochsAreStillJudged() public {
        proposeAs(bob, 400 ether);
        proposeAs(bob, 100 ether);
        settlement.freeze(2, 0);
        settlement.freeze(1, 0);
        settlement.unfreeze(2, 0, true);
        isStatus(1, ISettlement.Status.Pending);
        check(isDisputed(1, 0), "still under dispute");
        settlement.unfreeze(1, 0, true);
        eq(registry.nodeOf(bob).stake, STAKE - 2 * BASE - 500 ether, "both bonds");
        isStatus(1, ISettlement.Status.Rejected);
    }

    /// @dev A puppet's dispute that ends without a verdict lets the line fall, and frees no bond of another dispute's.
    function test_aLineThatFellStillCostsItsBond() public {
        proposeAs(bob, 400 ether);
        settlement.freeze(1, 0);
        settlement.freeze(1, 0);
        settlement.unfreeze(1, 0, false);
        settlement.reject(1, 0);
        eq(registry.nodeOf(bob).locked, BASE + 400 ether, "held by the other dispute");
        settlement.unfreeze(1, 0, true);
        eq(registry.nodeOf(bob).stake, STAKE - BASE - 400 ether, "burned");
        check(settlement.suspended(bob), "suspended");
    }

    function test_aLineThatFellWithoutFaultGivesItsBondBack() public {
        proposeAs(bob, 400 ether);
        settlement.freeze(1, 0);
        settlement.reject(1, 0);
        eq(registry.nodeOf(bob).locked, BASE + 400 ether, "until the dispute ends");
        settlement.unfreeze(1, 0, false);
        eq(registry.nodeOf(bob).locked, 0, "given back");
        eq(registry.nodeOf(bob).stake, STAKE, "all of it");
        check(!settlement.suspended(bob), "not suspended");
    }

    function test_aBondIsBurnedOnce() public {
        proposeAs(bob, 400 ether);
        settlement.freeze(1, 0);
        settlement.freeze(1, 0);
        settlement.unfreeze(1, 0, true);
        settlement.unfreeze(1, 0, true);
        settlement.convict(1);
        eq(registry.nodeOf(bob).stake, STAKE - BASE - 400 ether, "once");
    }

    function test_aLateConvictionSuspendsButChangesNoFinalEpoch() public {
        ISettlement.EpochContent memory content = proposeAs(bob, 10);
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        settlement.convict(1);
        isStatus(1, ISettlement.Status.Finalised);
        check(settlement.suspended(bob), "suspended");
        eq(registry.nodeOf(bob).stake, STAKE, "the bond was free");
        vm.expectRevert(abi.encodeWithSelector(ISettlement.UnknownEpoch.selector, 2));
        settlement.convict(2);
    }

    function test_withoutJurorsNothingIsProposed() public {
        jurorsMissing = true;
        refuse(abi.encodeWithSelector(ISettlerBonds.TooFewJurors.selector));
    }

    function test_withoutAPoolNothingIsProposed() public {
        ISettlerBonds.BondTerms memory terms = ISettlerBonds.BondTerms(BASE, RATE);
        settlement = new Settlement(address(this), registry, WINDOW, GRACE, CAP_PERIOD, terms);
        registry.grantRole(registry.SLASHER_ROLE(), address(settlement));
        settlement.grantRole(settlement.SETTLER_ROLE(), bob);
        refuse(abi.encodeWithSelector(ISettlerBonds.TooFewJurors.selector));
        settlement.setPool(IVerifierPool(address(this)));
        vm.expectRevert(ISettlerBonds.PoolIsSet.selector);
        settlement.setPool(IVerifierPool(address(this)));
    }

    function test_aPauseTakesNoWorkersPay() public {
        settlement.pause();
        uint256 refundableAt = settlement.clock() + GRACE;
        vm.prank(alice);
        escrow.close(jobId);
        skip(GRACE);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.GraceNotOver.selector, refundableAt));
        escrow.refund(jobId);
        skip(7 days - GRACE);
        proposeAs(bob, 10);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.GraceNotOver.selector, refundableAt));
        escrow.refund(jobId);
    }

    function test_nothingIsReservedFromAJobThatClosedLongAgo() public {
        vm.prank(alice);
        escrow.close(jobId);
        skip(GRACE);
        refuse(abi.encodeWithSelector(IJobEscrow.JobIsClosed.selector, jobId));
        eq(escrow.refund(jobId), 64_000 ether, "all of it");
    }

    function testFuzz_onlyGovernanceAndCourts(address caller) public {
        vm.assume(caller != address(this));
        bytes32 court = settlement.DISPUTES_ROLE();
        bytes4 refusal = IAccessControl.AccessControlUnauthorizedAccount.selector;
        vm.startPrank(caller);
        vm.expectRevert(abi.encodeWithSelector(refusal, caller, bytes32(0)));
        settlement.setPool(IVerifierPool(caller));
        vm.expectRevert(abi.encodeWithSelector(refusal, caller, bytes32(0)));
        settlement.setBondTerms(ISettlerBonds.BondTerms(1, 0));
        vm.expectRevert(abi.encodeWithSelector(refusal, caller, bytes32(0)));
        settlement.setBondRate(address(money), 0);
        vm.expectRevert(abi.encodeWithSelector(refusal, caller, bytes32(0)));
        settlement.reinstate(bob);
        vm.expectRevert(abi.encodeWithSelector(refusal, caller, court));
        settlement.suspend(bob);
        vm.expectRevert(abi.encodeWithSelector(refusal, caller, court));
        settlement.convict(1);
        vm.stopPrank();
    }

    function test_everyEpochHasABond() public {
        vm.expectRevert(ISettlerBonds.ParameterOutOfBounds.selector);
        settlement.setBondTerms(ISettlerBonds.BondTerms(0, RATE));
    }
}
